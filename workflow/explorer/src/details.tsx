// What is known of the unit pointed at: its place, its values, and what it answers most to.
import { useEffect, useRef } from "preact/hooks";
import { paint, plain, rangeOf, spoken } from "./colours";
import { content, mapsOf, valueOf } from "./content";
import { tiles, type Point } from "./sheet";
import { describe, modelOf, quantitiesOf, RESPONSE, sheetOf, unitAt, type Side } from "./view";

/** Quantities with more values of a unit are shown on the sheet alone. */
const MANY = 32;

interface Props {
  id: string;
  side: Side;
  at: Point | null;
  /** Value on the sheet now, in words. */
  now: (unit: number) => string;
}

export function Details({ id, side, at, now }: Props) {
  if (!at) {
    return (
      <div class="details soft" id={id}>
        Point at a unit, or press an arrow key on the sheet.
      </div>
    );
  }
  const unit = unitAt(side, at);
  const [, columns] = sheetOf(side);
  return (
    <div class="details" id={id}>
      <p aria-live="polite">
        <strong>Unit {unit}</strong>, row {Math.floor(unit / columns)}, column {unit % columns}:{" "}
        <b class="now">{now(unit)}</b>
      </p>
      <dl>
        {lines(side, unit).map(([label, words]) => (
          <>
            <dt>{label}</dt>
            <dd>{words}</dd>
          </>
        ))}
      </dl>
      <div class="best">
        <Best side={side} unit={unit} />
        <Tile side={side} unit={unit} />
      </div>
    </div>
  );
}

/** One line for each quantity, or each group of them, of the trained network. */
function lines(side: Side, unit: number): [string, string][] {
  const model = modelOf(side);
  const groups = new Map<string, [string, number][]>();
  for (const name of quantitiesOf(side)) {
    const map = name === RESPONSE ? undefined : mapsOf(model, side.layer, name).at(-1);
    if (!map || map.index.length > MANY) continue;
    const { group, member, scale } = describe(name);
    const mine = groups.get(group) ?? [];
    map.index.forEach((called, place) => {
      const label = member || (map.index.length > 1 ? `${called}` : "");
      mine.push([label, valueOf(map, unit, place)]);
    });
    // Of categories the best is named first.
    if (member && scale === "signed") mine.sort((a, b) => b[1] - a[1]);
    groups.set(group, mine);
  }
  return [...groups].map(([group, mine]) => {
    const quantity = content.quantities[group] ?? describe(firstOf(group));
    const unitWords = quantity.unit && quantity.scale !== "angle" ? ` (${quantity.unit})` : "";
    const angle = quantity.scale === "angle" || quantity.index.includes("°") ? "°" : "";
    const words = mine.map(([label, value]) => {
      const number = Number.isNaN(value) ? "none" : plain(value);
      if (!label) return spoken(value, { ...quantity, unit: "" });
      return `${label}${/^\d+$/.test(label) ? angle : ""}: ${number}`;
    });
    return [`${quantity.label}${unitWords}`, words.join(" · ")];
  });
}

function firstOf(group: string): string {
  return Object.keys(content.quantities).find((name) => describe(name).group === group)!;
}

function Best({ side, unit }: { side: Side; unit: number }) {
  const set = content.families[side.family]!.pictures;
  const pictures = set ? content.pictures[set] : undefined;
  const map = mapsOf(modelOf(side), side.layer, "best_stimulus").at(-1);
  if (!pictures || !map) return null;
  const numbers = map.index.map((_, place) => valueOf(map, unit, place));
  if (!numbers.every(Number.isFinite)) return null;
  return (
    <figure>
      <figcaption>Answers most to ({pictures.of})</figcaption>
      <ul class="pictures">
        {numbers.map((number) => {
          const [label, source] = pictures.images[String(number)]!;
          const words = pictures.classes[label]!.replaceAll("_", " ");
          return (
            <li key={number} data-number={number}>
              <img src={source} alt={`image ${number}, of class ${words}`} width={48} />
              <span>{words}</span>
            </li>
          );
        })}
      </ul>
    </figure>
  );
}

function Tile({ side, unit }: { side: Side; unit: number }) {
  const map = mapsOf(modelOf(side), side.layer, "weight").at(-1);
  const shown = map && tiles(map);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (shown?.kind !== "tiles") return;
    const [height, width] = shown.side;
    const context = canvas.current!.getContext("2d")!;
    const image = context.createImageData(width, height);
    const mine = Float32Array.from({ length: height * width }, (_, pixel) => shown.value(unit, pixel));
    const range = rangeOf("signed", [mine]);
    mine.forEach((value, pixel) => paint(image.data, pixel, value, range));
    context.putImageData(image, 0, 0);
  });
  if (shown?.kind !== "tiles") return null;
  return (
    <figure>
      <figcaption>Its weights, on a scale of their own</figcaption>
      <canvas
        ref={canvas}
        class="tile"
        height={shown.side[0]}
        width={shown.side[1]}
        role="img"
        aria-label={`Incoming weights of unit ${unit} as an image`}
      />
    </figure>
  );
}
