// The page: two sheets, what they show, and the drawing that they answer to.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { rangeOf, spoken, ticksOf, type Range } from "./colours";
import { content, load, mapsOf, valueOf, values } from "./content";
import { Player, QuantityControls, SideControls } from "./controls";
import { Details } from "./details";
import { forward, networkOf, type Answer, type Network } from "./forward";
import { Measures } from "./measures";
import { Pad } from "./pad";
import { Legend, ScaleBar } from "./scalebar";
import { cells, Sheet, tiles, type Point, type Shown } from "./sheet";
import {
  canDraw,
  describe,
  fromHash,
  indexOf,
  mapAt,
  mapsOn,
  mended,
  modelOf,
  quantitiesOf,
  RESPONSE,
  sheetOf,
  stepsOf,
  toHash,
  type Side,
  type View,
} from "./view";

const WAIT = 200; // milliseconds before the address follows the view

export function App() {
  const [view, setView] = useState<View>(() => fromHash(location.hash));
  const [hovered, setHovered] = useState<Point | null>(null);
  const [, setLoaded] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [pixels, setPixels] = useState<Uint8ClampedArray | null>(null);
  const networks = useRef(new Map<number, Network>());
  const written = useRef(location.hash);
  const change = (part: Partial<View>) => setView((before) => mended({ ...before, ...part }));
  const { sides, quantity } = view;
  const words = describe(quantity);

  useEffect(() => {
    const follow = () => {
      if (location.hash !== written.current) setView(fromHash(location.hash));
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);

  useEffect(() => {
    if (playing) return undefined;
    const timer = setTimeout(() => {
      written.current = toHash(view);
      history.replaceState(null, "", written.current);
    }, WAIT);
    return () => clearTimeout(timer);
  }, [view, playing]);

  useEffect(() => {
    let current = true;
    const wanted = sides.flatMap((side) => {
      const names = [...quantitiesOf(side), "best_stimulus"].filter((name) => name !== RESPONSE);
      return names.flatMap((name) => mapsOf(modelOf(side), side.layer, name)).map((m) => m.piece);
    });
    const drawable = sides.filter(canDraw);
    load(wanted)
      .then(() =>
        Promise.all(
          drawable.map(async (side) => networks.current.set(modelOf(side), await networkOf(side))),
        ),
      )
      .then(() => current && setLoaded((count) => count + 1));
    return () => {
      current = false;
    };
  }, [sides.map(modelOf).join(), sides.map((side) => side.layer).join()]);

  const drawer = sides.find(canDraw);
  const drawing = drawer ? content.families[drawer.family]!.drawing : null;
  const paper = useMemo(
    () => pixels ?? new Uint8ClampedArray(drawing ? drawing.height * drawing.width : 0),
    [pixels, drawing],
  );
  const answers = sides.map((side) => answerOf(networks.current.get(modelOf(side)), side, paper));
  const ready = sides.every((side) => mapsOn(view, side).every((map) => values(map.piece)));
  const range = useMemo(
    () => commonRange(view, answers),
    [quantity, ready, sides.map(sideKey).join(), quantity === RESPONSE && paper, answers.map(Boolean).join()],
  );
  const index = indexOf(view);
  const steps = stepsOf(view);
  const at = hovered ?? view.at;
  const names = sides.map(nameOf) as [string, string];

  return (
    <>
      <header>
        <h1>The maps of preset {content.preset}</h1>
        <p class="soft">
          Units on their cortical sheets, two networks side by side. One colour scale for both; what
          you point at on one sheet is marked on the other. <a href="report.html">To the report</a>
        </p>
      </header>
      <main>
        <section class="what" aria-label="What is shown">
          <div class="fields">
            <QuantityControls view={view} onChoose={(name) => change({ quantity: name })} />
          </div>
          {index.length > 1 && words.index !== "pixel" && (
            <Player
              name={capital(words.index.replace(/ \(.*/, ""))}
              text={`${index[view.place]}${words.index.includes("°") ? "°" : ""}`}
              count={index.length}
              value={view.place}
              milliseconds={index.length > 10 ? 60 : 600}
              onMove={(place) => change({ place })}
              onPlaying={setPlaying}
            >
              {words.index.includes("°") && <Line angle={index[view.place]!} />}
            </Player>
          )}
          {steps > 1 && (
            <Player
              name="Training"
              text={stepWords(view)}
              count={steps}
              value={view.step}
              milliseconds={700}
              onMove={(step) => change({ step })}
              onPlaying={setPlaying}
            />
          )}
          {words.scale === "category" ? (
            <Legend names={words.members} />
          ) : (
            <ScaleBar range={range} ticks={ticksOf(range)} unit={words.scale === "angle" ? "degrees" : words.unit || words.label} />
          )}
          {words.about && <p class="soft about">{words.about}</p>}
        </section>
        <div class="sides">
          {sides.map((side, number) => (
            <section key={number} class="side" aria-label={`${number ? "Right" : "Left"} network`}>
              <SideControls
                side={side}
                onChange={(next) => {
                  const both = [...sides] as [Side, Side];
                  both[number] = next;
                  change({ sides: both });
                }}
              />
              <Sheet
                name={`${names[number]}: ${words.label} ${words.member}`}
                shape={sheetOf(side)}
                shown={shownOf(view, side, answers[number]!)}
                range={range}
                at={at}
                describedBy="keys"
                onPoint={setHovered}
                onPin={(point) => {
                  setHovered(null);
                  change({ at: point });
                }}
              />
              <p class="soft under">{underOf(view, side, answers[number]!)}</p>
              <Details
                id={`details-${number}`}
                side={side}
                at={at}
                now={(unit) => nowOf(view, side, answers[number]!, unit)}
              />
            </section>
          ))}
        </div>
        {drawing && (
          <Pad
            drawing={drawing}
            pixels={paper}
            answers={sides.map((_, number) => ({
              name: `${number ? "Right" : "Left"}: ${names[number]}`,
              answer: answers[number]!,
            }))}
            onDraw={(next) => {
              setPixels(next);
              if (quantity !== RESPONSE) change({ quantity: RESPONSE });
            }}
          />
        )}
        <Measures sides={sides} names={names} />
      </main>
      <footer class="soft">
        <p id="keys">
          On a sheet, the arrow keys move from unit to unit, Home and End along the row. The address
          of this page holds the view, so that it can be shared.
        </p>
        {content.leftOut.length > 0 && (
          <details>
            <summary>Left out, for the size of this page</summary>
            <ul>
              {content.leftOut.map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
          </details>
        )}
        <p>{content.about}</p>
      </footer>
    </>
  );
}

function answerOf(network: Network | undefined, side: Side, pixels: Uint8ClampedArray): Answer | null {
  const fits = network && pixels.length === network.drawing.height * network.drawing.width;
  return fits && canDraw(side) ? forward(network, pixels) : null;
}

/** One range for both sheets, over all steps and all of the index, so that playing keeps it. */
function commonRange(view: View, answers: (Answer | null)[]): Range {
  const { scale } = describe(view.quantity);
  if (view.quantity === RESPONSE) {
    return rangeOf(scale, answers.filter((answer) => answer !== null).map((one) => one.hidden));
  }
  return rangeOf(
    scale,
    view.sides.flatMap((side) =>
      mapsOn(view, side).map((map) => {
        const all = values(map.piece) ?? new Float32Array();
        return all.subarray(map.offset, map.offset + map.units * map.index.length);
      }),
    ),
  );
}

function shownOf(view: View, side: Side, answer: Answer | null): Shown | null {
  if (view.quantity === RESPONSE) {
    return answer && { kind: "cells", value: (unit) => answer.hidden[unit]! };
  }
  const map = mapAt(view, side);
  if (!map || !values(map.piece)) return null;
  return describe(view.quantity).index === "pixel" ? tiles(map) : cells(map, view.place);
}

function nowOf(view: View, side: Side, answer: Answer | null, unit: number): string {
  const words = describe(view.quantity);
  if (view.quantity === RESPONSE) return answer ? spoken(answer.hidden[unit]!, words) : "–";
  const map = mapAt(view, side);
  if (!map) return "not measured";
  return words.index === "pixel" ? "its weights are below" : spoken(valueOf(map, unit, view.place), words);
}

/** A line under the sheet: which step it shows, or why it shows nothing. */
function underOf(view: View, side: Side, answer: Answer | null): string {
  const [rows, columns] = sheetOf(side);
  const size = `${rows} × ${columns} units`;
  if (view.quantity === RESPONSE) return answer ? size : "This network cannot run in this page.";
  const map = mapAt(view, side);
  if (!map) return `${describe(view.quantity).label} was not measured here.`;
  const last = mapsOn(view, side).at(-1)!.step;
  const when = map.step === 0 ? "untrained" : map.step < last ? `step ${map.step}` : "trained";
  return `${size}, ${when}`;
}

function stepWords(view: View): string {
  const steps = view.sides.map((side) => mapAt(view, side)?.step).filter((step) => step !== undefined);
  return [...new Set(steps)].map((step) => (step ? `step ${step}` : "untrained")).join(" | ");
}

function nameOf(side: Side): string {
  return `${content.families[side.family]!.label}, τ = ${side.tau}, seed ${side.seed}, ${side.layer}`;
}

function sideKey(side: Side): string {
  return [side.family, side.tau, side.seed, side.layer].join("/");
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** The stimulus of an angle, counted against the clock from the horizontal. */
function Line({ angle }: { angle: number }) {
  const [x, y] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  return (
    <svg class="line" viewBox="-12 -12 24 24" aria-hidden="true">
      <rect x="-12" y="-12" width="24" height="24" />
      <line x1={-10 * x} y1={10 * y} x2={10 * x} y2={-10 * y} />
    </svg>
  );
}
