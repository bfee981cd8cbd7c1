// A cortical sheet: one cell, or one tile of weights, per unit, and the cursor on it.
import { useEffect, useRef } from "preact/hooks";
import { content, valueOf, values, type SheetMap } from "./content";
import { paint, type Range } from "./colours";

/** What is drawn on a sheet: a value per unit, or a small image per unit. */
export type Shown =
  | { kind: "cells"; value: (unit: number) => number }
  | { kind: "tiles"; value: (unit: number, pixel: number) => number; side: [number, number] };

export type Point = { x: number; y: number };

interface Props {
  name: string;
  shape: [number, number];
  shown: Shown | null;
  range: Range;
  at: Point | null;
  describedBy: string;
  onPoint: (at: Point | null) => void;
  onPin: (at: Point) => void;
}

const ARROWS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function Sheet(props: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [rows, columns] = props.shape;
  const { shown, range } = props;
  const [tall, wide] = shown?.kind === "tiles" ? shown.side : [0, 0];
  const height = tall ? rows * (tall + 1) - 1 : rows;
  const width = wide ? columns * (wide + 1) - 1 : columns;

  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const image = context.createImageData(width, height);
    if (shown?.kind === "cells") {
      for (let unit = 0; unit < rows * columns; unit++) {
        paint(image.data, unit, shown.value(unit), range);
      }
    } else if (shown) {
      for (let unit = 0; unit < rows * columns; unit++) {
        const top = Math.floor(unit / columns) * (tall + 1);
        const left = (unit % columns) * (wide + 1);
        for (let pixel = 0; pixel < tall * wide; pixel++) {
          const row = top + Math.floor(pixel / wide);
          paint(image.data, row * width + left + (pixel % wide), shown.value(unit, pixel), range);
        }
      }
    }
    context.putImageData(image, 0, 0);
  });

  const place = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    const share = (at: number, from: number, size: number, count: number) =>
      (Math.min(count - 1, Math.max(0, Math.floor((count * (at - from)) / size))) + 0.5) / count;
    return {
      x: share(event.clientX, box.left, box.width, columns),
      y: share(event.clientY, box.top, box.height, rows),
    };
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const row = props.at ? Math.floor(props.at.y * rows) : 0;
    const column = props.at ? Math.floor(props.at.x * columns) : 0;
    const arrow = ARROWS[event.key];
    let next: [number, number];
    if (arrow) next = props.at ? [row + arrow[0], column + arrow[1]] : [0, 0];
    else if (event.key === "Home") next = [row, 0];
    else if (event.key === "End") next = [row, columns - 1];
    else return;
    event.preventDefault();
    const inside = (at: number, count: number) => (Math.min(count - 1, Math.max(0, at)) + 0.5) / count;
    props.onPin({ x: inside(next[1], columns), y: inside(next[0], rows) });
  };

  const box = props.at && {
    left: `${(100 * Math.floor(props.at.x * columns)) / columns}%`,
    top: `${(100 * Math.floor(props.at.y * rows)) / rows}%`,
    width: `${100 / columns}%`,
    height: `${100 / rows}%`,
  };
  return (
    <div class="sheet" style={{ aspectRatio: `${columns} / ${rows}`, maxWidth: `${(columns / rows) * 30}rem` }}>
      <canvas
        ref={canvas}
        width={width}
        height={height}
        tabIndex={0}
        role="application"
        aria-roledescription="cortical sheet"
        aria-label={props.name}
        aria-describedby={props.describedBy}
        onPointerMove={(event) => event.pointerType === "mouse" && props.onPoint(place(event))}
        onPointerLeave={() => props.onPoint(null)}
        onPointerDown={(event) => props.onPin(place(event))}
        onKeyDown={onKeyDown}
      />
      {box && <div class="cursor" style={box} />}
    </div>
  );
}

/** The cells of one place of a map's index. */
export function cells(map: SheetMap, place: number): Shown {
  return { kind: "cells", value: (unit) => valueOf(map, unit, place) };
}

/** Tiles of weights: images of one channel, or means over three. */
export function tiles(map: SheetMap): Shown | null {
  const shape = imageShape(map.index.length);
  const all = values(map.piece);
  if (!shape || !all) return null;
  const { side, channels } = shape;
  const area = side * side;
  return {
    kind: "tiles",
    side: [side, side],
    value: (unit, pixel) => {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += all[map.offset + unit * map.index.length + channel * area + pixel]!;
      }
      return sum / channels;
    },
  };
}

function imageShape(pixels: number): { side: number; channels: number } | null {
  for (const channels of [1, 3]) {
    const side = Math.sqrt(pixels / channels);
    if (Number.isInteger(side)) return { side, channels };
  }
  return null;
}

export function familyLabel(name: string): string {
  return content.families[name]!.label;
}
