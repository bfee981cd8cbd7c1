// What the page is about: written into it by toporepro/report/explorer.py.
import { unpack } from "./packed";

export interface Drawing {
  height: number;
  width: number;
  mean: number;
  std: number;
  classes: string[];
  examples: string[];
}

export interface Family {
  label: string;
  layers: Record<string, [number, number]>;
  drawing: Drawing | null;
  /** Of the page's pictures, those of its best images. */
  pictures: string | null;
}

export interface Quantity {
  label: string;
  unit: string;
  scale: "signed" | "size" | "angle" | "category";
  index: string;
  about: string;
  group: string;
  member: string;
  /** Of the scale of categories, their names in the order of their numbers. */
  members: string[];
}

/** Layer, stimuli, metric, value. */
export type Measure = [string, string, string, number];

export interface Model {
  family: string;
  tau: string;
  seed: number;
  measures: Measure[];
  out: string | null;
}

export interface MapEntry {
  model: number;
  quantity: string;
  parts: { layer: string; step: number; units: number }[];
  index: number[];
  kept: number;
}

export interface Pictures {
  of: string;
  classes: string[];
  images: Record<string, [number, string]>;
}

export interface Content {
  preset: string;
  about: string;
  families: Record<string, Family>;
  quantities: Record<string, Quantity>;
  models: Model[];
  maps: MapEntry[];
  pictures: Record<string, Pictures>;
  palettes: Record<Quantity["scale"], string>;
  leftOut: string[];
}

export const content: Content = JSON.parse(text("content"));

function text(id: string): string {
  const element = document.getElementById(id);
  if (!element?.textContent) throw new Error(`the page lacks its part ${id}`);
  return element.textContent;
}

/** One map: a value per unit and index, and where they are in the values of their piece. */
export interface SheetMap {
  piece: number;
  step: number;
  units: number;
  index: number[];
  offset: number;
}

/** All steps of one quantity of one layer of one network, in the order of training. */
export function mapsOf(model: number, layer: string, quantity: string): SheetMap[] {
  const found: SheetMap[] = [];
  content.maps.forEach((entry, piece) => {
    if (entry.model !== model || entry.quantity !== quantity) return;
    let offset = 0;
    for (const part of entry.parts) {
      const { step, units } = part;
      if (part.layer === layer) found.push({ piece, step, units, index: entry.index, offset });
      offset += units * entry.index.length;
    }
  });
  return found.sort((a, b) => a.step - b.step);
}

const unpacked = new Map<number, Float32Array>();
const pending = new Map<number, Promise<void>>();

/** The values of a piece, if they have been loaded. */
export function values(piece: number): Float32Array | undefined {
  return unpacked.get(piece);
}

/** Load pieces; resolves at once if all are there. */
export async function load(pieces: Iterable<number>): Promise<void> {
  await Promise.all(
    [...new Set(pieces)].map((piece) => {
      if (unpacked.has(piece)) return undefined;
      const started =
        pending.get(piece) ??
        unpack(text(`chunk-${piece}`), content.maps[piece]!.kept).then((found) => {
          unpacked.set(piece, found);
        });
      pending.set(piece, started);
      return started;
    }),
  );
}

/** The value of one unit; NaN while the piece is not loaded. */
export function valueOf(map: SheetMap, unit: number, place: number): number {
  return values(map.piece)?.[map.offset + unit * map.index.length + place] ?? Number.NaN;
}
