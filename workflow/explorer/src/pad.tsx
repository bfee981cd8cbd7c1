// Where a reader draws, and what the networks say to it.
import { useEffect, useRef } from "preact/hooks";
import { plain } from "./colours";
import type { Drawing } from "./content";
import { softmax, type Answer } from "./forward";
import { bytes } from "./packed";

interface Props {
  drawing: Drawing;
  pixels: Uint8ClampedArray;
  answers: { name: string; answer: Answer | null }[];
  onDraw: (pixels: Uint8ClampedArray) => void;
}

const ARROWS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function Pad({ drawing, pixels, answers, onDraw }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const last = useRef<[number, number] | null>(null);
  const pen = useRef<[number, number]>([drawing.height / 2, drawing.width / 2]);
  const { height, width } = drawing;

  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const image = context.createImageData(width, height);
    pixels.forEach((value, pixel) => image.data.set([value, value, value, 255], 4 * pixel));
    context.putImageData(image, 0, 0);
  }, [pixels]);

  const stroke = (from: [number, number], to: [number, number]) => {
    const next = pixels.slice();
    const radius = height / 20;
    for (let pixel = 0; pixel < next.length; pixel++) {
      const spot: [number, number] = [Math.floor(pixel / width) + 0.5, (pixel % width) + 0.5];
      // Full inside the pen, fading over one pixel, as anti-aliased digits do.
      const ink = 255 * Math.min(1, Math.max(0, radius + 0.5 - distance(spot, from, to)));
      next[pixel] = Math.max(next[pixel]!, ink);
    }
    pen.current = to;
    onDraw(next);
  };

  const spot = (event: PointerEvent): [number, number] => {
    const box = canvas.current!.getBoundingClientRect();
    return [
      ((event.clientY - box.top) / box.height) * height,
      ((event.clientX - box.left) / box.width) * width,
    ];
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const from = pen.current;
    const inside = (at: number, size: number) => Math.min(size - 0.5, Math.max(0.5, at));
    const to: [number, number] = [
      inside(from[0] + arrow[0], height),
      inside(from[1] + arrow[1], width),
    ];
    if (event.shiftKey) pen.current = to;
    else stroke(from, to);
  };

  return (
    <section class="pad" aria-labelledby="pad-title">
      <h2 id="pad-title">Draw a digit</h2>
      <p class="soft" id="pad-help">
        Draw with mouse, finger, or the arrow keys (with Shift the pen is lifted), or take one of the
        test images. The networks run in this page.
      </p>
      <div class="drawing">
        <div>
          <canvas
            ref={canvas}
            class="paper"
            height={height}
            width={width}
            tabIndex={0}
            role="application"
            aria-roledescription="drawing pad"
            aria-label={`Drawing pad of ${height} by ${width} pixels`}
            aria-describedby="pad-help"
            onPointerDown={(event) => {
              event.currentTarget.setPointerCapture(event.pointerId);
              last.current = spot(event);
              stroke(last.current, last.current);
            }}
            onPointerMove={(event) => {
              if (!last.current) return;
              const to = spot(event);
              stroke(last.current, to);
              last.current = to;
            }}
            onPointerUp={() => (last.current = null)}
            onPointerCancel={() => (last.current = null)}
            onKeyDown={onKeyDown}
          />
          <div class="examples">
            <button type="button" onClick={() => onDraw(new Uint8ClampedArray(height * width))}>
              Clear
            </button>
            {drawing.examples.map((example, number) => (
              <button
                key={number}
                type="button"
                aria-label={`Show a test image of ${drawing.classes[number]}`}
                onClick={() => onDraw(new Uint8ClampedArray(bytes(example)))}
              >
                {drawing.classes[number]}
              </button>
            ))}
          </div>
        </div>
        {answers.map(({ name, answer }) => (
          <Guess key={name} name={name} answer={answer} classes={drawing.classes} />
        ))}
      </div>
    </section>
  );
}

function Guess(props: { name: string; answer: Answer | null; classes: string[] }) {
  const { name, answer, classes } = props;
  if (!answer) return null;
  const shares = softmax(answer.logits);
  const best = shares.indexOf(Math.max(...shares));
  return (
    <table class="guess">
      <caption>{name}</caption>
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col">Probability</th>
          <th scope="col">Logit</th>
        </tr>
      </thead>
      <tbody>
        {classes.map((label, number) => (
          <tr key={label} class={number === best ? "chosen" : ""}>
            <th scope="row">{label}</th>
            <td>
              <meter min={0} max={1} value={shares[number]!} aria-label={`Probability of ${label}`} />
              {(100 * shares[number]!).toFixed(1)} %
            </td>
            <td data-logit={answer.logits[number]}>{plain(answer.logits[number]!)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** From a point to a segment. */
function distance(point: [number, number], from: [number, number], to: [number, number]): number {
  const [dy, dx] = [to[0] - from[0], to[1] - from[1]];
  const length = dy * dy + dx * dx;
  const along = length
    ? ((point[0] - from[0]) * dy + (point[1] - from[1]) * dx) / length
    : 0;
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(point[0] - from[0] - share * dy, point[1] - from[1] - share * dx);
}
