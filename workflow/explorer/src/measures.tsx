// The tables' values of the two networks.
import { plain } from "./colours";
import { content } from "./content";
import { modelOf, type Side } from "./view";

export function Measures({ sides, names }: { sides: [Side, Side]; names: [string, string] }) {
  const tables = sides.map((side) => table(side));
  const metrics = [...new Set(tables.flatMap((mine) => [...mine.keys()]))];
  return (
    <details class="measures">
      <summary>Measures of both networks</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label="Measures of both networks">
        <table>
          <thead>
            <tr>
              <th scope="col" rowSpan={2}>Measure</th>
              {names.map((name, number) => (
                <th key={number} scope="colgroup" colSpan={2}>
                  {name}
                </th>
              ))}
            </tr>
            <tr>
              {sides.map((side, number) => (
                <>
                  <th scope="col" key={`${number}a`}>{side.layer}</th>
                  <th scope="col" key={`${number}b`}>all layers</th>
                </>
              ))}
            </tr>
          </thead>
          <tbody>
            {metrics.map((metric) => (
              <tr key={metric}>
                <th scope="row">{metric.replaceAll("_", " ")}</th>
                {tables.flatMap((mine, number) =>
                  [0, 1].map((column) => {
                    const value = mine.get(metric)?.[column];
                    return (
                      <td key={`${number}${column}`} class="number" data-metric={metric} data-value={value}>
                        {value === undefined ? "–" : plain(value)}
                      </td>
                    );
                  }),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Metric, with its stimuli where there are several sets → value of the layer, and of the whole. */
function table(side: Side): Map<string, [number | undefined, number | undefined]> {
  const found = new Map<string, [number | undefined, number | undefined]>();
  const model = content.models[modelOf(side)]!;
  const sets = new Map<string, Set<string>>();
  for (const [, stimuli, metric] of model.measures) {
    sets.set(metric, (sets.get(metric) ?? new Set()).add(stimuli));
  }
  for (const [layer, stimuli, metric, value] of model.measures) {
    const whole = layer === "" || layer === "mean";
    if (!whole && layer !== side.layer) continue;
    const name = sets.get(metric)!.size > 1 && stimuli ? `${metric} (${stimuli})` : metric;
    const row = found.get(name) ?? [undefined, undefined];
    row[whole ? 1 : 0] = value;
    found.set(name, row);
  }
  return found;
}
