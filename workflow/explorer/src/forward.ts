// The forward pass of the MLP, as toporepro/models/mlp.py builds it: two layers without biases.
import { content, load, mapsOf, values, type Drawing } from "./content";
import { unpack } from "./packed";
import { modelOf, type Side } from "./view";

export interface Answer {
  /** Of the hidden layer, before its rectifier. */
  hidden: Float32Array;
  logits: Float64Array;
}

export interface Network {
  drawing: Drawing;
  first: Float32Array;
  second: Float32Array;
  hidden: number;
}

export async function networkOf(side: Side): Promise<Network> {
  const model = modelOf(side);
  const drawing = content.families[side.family]!.drawing!;
  const [map] = mapsOf(model, side.layer, "weight");
  await load([map!.piece]);
  const second = await unpack(content.models[model]!.out!, 4);
  return { drawing, first: values(map!.piece)!, second, hidden: map!.units };
}

/** Pixels from 0 to 255, row by row, are normalised as in training. */
export function forward(network: Network, pixels: Uint8ClampedArray): Answer {
  const { drawing, first, second, hidden } = network;
  const input = Float64Array.from(pixels, (value) => (value / 255 - drawing.mean) / drawing.std);
  const answers = product(first, input);
  const rectified = answers.map((value) => Math.max(0, value));
  if (answers.length !== hidden) throw new Error(`${hidden} units expected, ${answers.length} found`);
  return { hidden: Float32Array.from(answers), logits: product(second, rectified) };
}

export function softmax(logits: Float64Array): Float64Array {
  const largest = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function product(matrix: Float32Array, vector: Float64Array): Float64Array {
  const result = new Float64Array(matrix.length / vector.length);
  for (let row = 0, at = 0; row < result.length; row++) {
    let sum = 0;
    for (const value of vector) sum += matrix[at++]! * value;
    result[row] = sum;
  }
  return result;
}
