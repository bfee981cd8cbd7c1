// The counterpart of toporepro/report/packing.py.

export function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Float32 values from planes of bytes, the most significant first, deflated, as base64. */
export async function unpack(base64: string, kept: number): Promise<Float32Array> {
  const inflated = new Blob([bytes(base64)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const count = planes.length / kept;
  const whole = new DataView(new ArrayBuffer(4 * count));
  for (let plane = 0; plane < kept; plane++) {
    for (let i = 0; i < count; i++) whole.setUint8(4 * i + plane, planes[plane * count + i]!);
  }
  return Float32Array.from({ length: count }, (_, i) => whole.getFloat32(4 * i));
}
