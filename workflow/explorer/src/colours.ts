// From values to colours: the palettes of the figures, one scale for both sheets.
import { quantile, ticks } from "d3-array";
import { format } from "d3-format";
import { bytes } from "./packed";
import { content, type Quantity } from "./content";

type Scale = Quantity["scale"];

const palettes = Object.fromEntries(
  Object.entries(content.palettes).map(([scale, colours]) => [scale, bytes(colours)]),
) as Record<Scale, Uint8Array>;

/** Of units without a value. */
const NOTHING = [221, 221, 221] as const;

export interface Range {
  scale: Scale;
  low: number;
  high: number;
}

/** Ends of the colours: the 99th percentile of sizes, symmetric where there are signs; of
 * categories, whatever their numbers, the colours are their own. */
export function rangeOf(scale: Scale, all: Iterable<Float32Array>): Range {
  if (scale === "angle") return { scale, low: 0, high: 180 };
  if (scale === "category") return { scale, low: 0, high: 1 };
  const finite: number[] = [];
  for (const values of all) {
    for (const value of values) if (Number.isFinite(value)) finite.push(value);
  }
  if (scale === "signed") {
    const end = quantile(finite.map(Math.abs), 0.99) || 1;
    return { scale, low: -end, high: end };
  }
  const low = quantile(finite, 0.01) ?? 0;
  const high = quantile(finite, 0.99) ?? 1;
  return { scale, low, high: high > low ? high : low + 1 };
}

/** Write the colour of a value into the pixels of an image, at its number. */
export function paint(pixels: Uint8ClampedArray, number: number, value: number, range: Range): void {
  let [red, green, blue]: readonly number[] = NOTHING;
  if (range.scale === "category" && !Number.isNaN(value)) {
    [red, green, blue] = colourOf(value);
  } else if (!Number.isNaN(value)) {
    const share = (value - range.low) / (range.high - range.low);
    const wrapped = range.scale === "angle" ? share - Math.floor(share) : share;
    const place = 3 * Math.min(255, Math.max(0, Math.floor(256 * wrapped)));
    [red, green, blue] = palettes[range.scale].subarray(place, place + 3);
  }
  pixels.set([red!, green!, blue!, 255], 4 * number);
}

/** Red, green and blue of a category; there are as many colours as can be told apart. */
export function colourOf(number: number): Uint8Array {
  const place = (3 * number) % palettes.category.length;
  return palettes.category.subarray(place, place + 3);
}

export function ticksOf(range: Range): number[] {
  return range.scale === "angle" ? [0, 45, 90, 135, 180] : ticks(range.low, range.high, 5);
}

const four = format(".4~r");

/** Four significant digits and the unit, or the category's name. */
export function spoken(value: number, quantity: Pick<Quantity, "unit" | "scale" | "members">): string {
  if (Number.isNaN(value)) return "none";
  if (quantity.scale === "category") return quantity.members[value] ?? four(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (quantity.scale === "angle") return `${four(value)}°`;
  return quantity.unit ? `${quantity.unit} = ${four(value)}` : four(value);
}

export const plain = four;
