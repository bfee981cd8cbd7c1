// What is being looked at, and how the address of the page says it.
import { content, mapsOf, type Quantity, type SheetMap } from "./content";

/** The quantity that is no map of the tables: what a network answers to the reader's drawing. */
export const RESPONSE = "response";
const RESPONSE_WORDS: Quantity = {
  label: "Response to your drawing",
  unit: "",
  scale: "signed",
  index: "",
  about: "Each unit's answer, before its rectifier, to what you draw below.",
  group: RESPONSE,
  member: "",
  members: [],
};

export interface Side {
  family: string;
  tau: string;
  seed: number;
  layer: string;
}

export interface View {
  sides: [Side, Side];
  quantity: string;
  /** Of the quantity's index. */
  place: number;
  /** Of the steps; the last is the trained network. */
  step: number;
  /** The unit pointed at, as a place on the sheet between 0 and 1. */
  at: { x: number; y: number } | null;
}

export function describe(quantity: string): Quantity {
  return quantity === RESPONSE ? RESPONSE_WORDS : content.quantities[quantity]!;
}

export function modelOf(side: Side): number {
  return content.models.findIndex(
    (model) => model.family === side.family && model.tau === side.tau && model.seed === side.seed,
  );
}

export function sheetOf(side: Side): [number, number] {
  return content.families[side.family]!.layers[side.layer]!;
}

export function tausOf(family: string): string[] {
  return distinct(content.models.filter((m) => m.family === family).map((m) => m.tau));
}

export function seedsOf(family: string, tau: string): number[] {
  return distinct(
    content.models.filter((m) => m.family === family && m.tau === tau).map((m) => m.seed),
  );
}

/** A side that exists, as near to the wanted one as can be. */
export function nearestSide(wanted: Partial<Side>): Side {
  const families = Object.keys(content.families);
  const family = pick(families, wanted.family);
  const taus = tausOf(family);
  const number = Number(wanted.tau);
  const nearest = [...taus].sort((a, b) => Math.abs(+a - number) - Math.abs(+b - number))[0]!;
  const tau = Number.isNaN(number) ? taus[0]! : nearest;
  const seed = pick(seedsOf(family, tau), wanted.seed);
  return { family, tau, seed, layer: pick(layersOf(family, tau, seed), wanted.layer) };
}

/** Layers that have maps, in the network's order. */
export function layersOf(family: string, tau: string, seed: number): string[] {
  const model = modelOf({ family, tau, seed, layer: "" });
  const measured = new Set(
    content.maps
      .filter((entry) => entry.model === model && describe(entry.quantity).index !== "rank")
      .flatMap((entry) => entry.parts.map((part) => part.layer)),
  );
  return Object.keys(content.families[family]!.layers).filter((layer) => measured.has(layer));
}

/** Quantities that can be shown of a side. */
export function quantitiesOf(side: Side): string[] {
  const model = modelOf(side);
  const here = Object.keys(content.quantities).filter(
    (name) => describe(name).index !== "rank" && mapsOf(model, side.layer, name).length > 0,
  );
  return canDraw(side) ? [...here, RESPONSE] : here;
}

export function canDraw(side: Side): boolean {
  const drawing = content.families[side.family]?.drawing;
  return !!drawing && mapsOf(modelOf(side), side.layer, "weight").length > 0;
}

/** The maps of a side by training step; none where the quantity was not measured. */
export function mapsOn(view: View, side: Side): SheetMap[] {
  return mapsOf(modelOf(side), side.layer, view.quantity);
}

/** How many steps the slider has. */
export function stepsOf(view: View): number {
  return Math.max(1, ...view.sides.map((side) => mapsOn(view, side).length));
}

/** The map of a side at the view's step; networks with fewer steps go along in proportion. */
export function mapAt(view: View, side: Side): SheetMap | undefined {
  const maps = mapsOn(view, side);
  const last = stepsOf(view) - 1;
  return maps[last ? Math.round((view.step * (maps.length - 1)) / last) : maps.length - 1];
}

/** The index of a quantity, as either side has it. */
export function indexOf(view: View): number[] {
  return mapsOn(view, view.sides[0])[0]?.index ?? mapsOn(view, view.sides[1])[0]?.index ?? [0];
}

export function unitAt(side: Side, at: { x: number; y: number }): number {
  const [rows, columns] = sheetOf(side);
  const row = Math.min(rows - 1, Math.floor(at.y * rows));
  return row * columns + Math.min(columns - 1, Math.floor(at.x * columns));
}

export function centreOf(side: Side, unit: number): { x: number; y: number } {
  const [rows, columns] = sheetOf(side);
  return { x: ((unit % columns) + 0.5) / columns, y: (Math.floor(unit / columns) + 0.5) / rows };
}

/** A view of which every part exists. */
export function mended(view: View): View {
  const sides = view.sides.map(nearestSide) as [Side, Side];
  const possible = distinct([...quantitiesOf(sides[0]), ...quantitiesOf(sides[1])]);
  const quantity = pick(possible, view.quantity);
  const whole = { ...view, sides, quantity };
  return {
    ...whole,
    place: clamp(view.place, indexOf(whole).length),
    step: quantity === view.quantity ? clamp(view.step, stepsOf(whole)) : stepsOf(whole) - 1,
  };
}

export function firstView(): View {
  const left = nearestSide({});
  const others = tausOf(left.family).filter((tau) => +tau > 0);
  const tau = others[Math.floor(others.length / 2)] ?? left.tau;
  const sides: [Side, Side] = [left, nearestSide({ ...left, tau })];
  return mended({ sides, quantity: "", place: 0, step: Number.MAX_SAFE_INTEGER, at: null });
}

export function toHash(view: View): string {
  const words = new URLSearchParams();
  view.sides.forEach((side, number) => {
    const parts = [side.family, side.tau, side.seed, side.layer];
    words.set("ab"[number]!, parts.join("/"));
  });
  words.set("q", view.quantity);
  const index = indexOf(view);
  if (index.length > 1) words.set("i", String(index[view.place]));
  if (stepsOf(view) > 1) words.set("step", String(view.step));
  if (view.at) words.set("unit", String(unitAt(view.sides[0], view.at)));
  // Slashes may stand in a fragment as they are, and read better.
  return `#${words.toString().replaceAll("%2F", "/")}`;
}

/** The view that an address names; what it does not name, or names wrongly, is as at first. */
export function fromHash(hash: string): View {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const view = firstView();
  const sides = (["a", "b"] as const).map((name, number) => {
    const parts = words.get(name)?.split("/");
    if (parts?.length !== 4) return view.sides[number]!;
    const [family, tau, seed, layer] = parts as [string, string, string, string];
    return nearestSide({ family, tau, seed: Number(seed), layer });
  }) as [Side, Side];
  const named = mended({ ...view, sides, quantity: words.get("q") ?? view.quantity });
  const place = indexOf(named).indexOf(Number(words.get("i") ?? Number.NaN));
  const step = words.has("step") ? Number(words.get("step")) : stepsOf(named) - 1;
  const unit = Number(words.get("unit") ?? Number.NaN);
  const [rows, columns] = sheetOf(sides[0]);
  const there = Number.isInteger(unit) && unit >= 0 && unit < rows * columns;
  return mended({
    ...named,
    place: Math.max(0, place),
    step: Number.isInteger(step) ? step : stepsOf(named) - 1,
    at: there ? centreOf(sides[0], unit) : null,
  });
}

function distinct<T>(items: T[]): T[] {
  return [...new Set(items)];
}

function pick<T>(items: T[], wanted: T | undefined): T {
  return items.includes(wanted as T) ? (wanted as T) : items[0]!;
}

function clamp(place: number, count: number): number {
  return Math.min(Math.max(0, place), count - 1);
}
