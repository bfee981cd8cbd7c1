// The colours of both sheets, with their values or the names of their categories.
import { useEffect, useRef } from "preact/hooks";
import { colourOf, paint, plain, type Range } from "./colours";

export function Legend({ names }: { names: string[] }) {
  return (
    <ul class="legend" aria-label="Colours of the categories">
      {names.map((name, number) => (
        <li key={name}>
          <span style={{ background: `rgb(${colourOf(number).join()})` }} />
          {name}
        </li>
      ))}
      <li>
        <span class="none" />
        none
      </li>
    </ul>
  );
}

export function ScaleBar({ range, ticks, unit }: { range: Range; ticks: number[]; unit: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const image = context.createImageData(256, 1);
    for (let place = 0; place < 256; place++) {
      const value = range.low + ((range.high - range.low) * (place + 0.5)) / 256;
      paint(image.data, place, value, range);
    }
    context.putImageData(image, 0, 0);
  }, [range]);
  const share = (value: number) => (value - range.low) / (range.high - range.low);
  return (
    <div class="scalebar">
      <canvas
        ref={canvas}
        width={256}
        height={1}
        role="img"
        aria-label={`Colours from ${plain(range.low)} to ${plain(range.high)} (${unit})`}
      />
      <div class="ticks" aria-hidden="true">
        {ticks.map((tick) => (
          <span key={tick} style={{ left: `${100 * share(tick)}%` }}>
            {plain(tick)}
          </span>
        ))}
      </div>
      <p class="soft">
        {unit}
        {range.scale !== "angle" && "; values beyond the ends have the ends' colours, grey is no value"}
      </p>
    </div>
  );
}
