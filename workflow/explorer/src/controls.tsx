// Everything that is chosen: networks, the quantity, and what the sliders play.
import { useEffect, useId, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { content } from "./content";
import {
  describe,
  layersOf,
  nearestSide,
  quantitiesOf,
  seedsOf,
  tausOf,
  type Side,
  type View,
} from "./view";

interface SelectProps {
  label: string;
  value: string;
  options: [string, string][];
  onChoose: (value: string) => void;
}

export function Select({ label, value, options, onChoose }: SelectProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {options.map(([key, words]) => (
          <option key={key} value={key} selected={key === value}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

export function SideControls(props: { side: Side; onChange: (side: Side) => void }) {
  const { side, onChange } = props;
  const change = (part: Partial<Side>) => onChange(nearestSide({ ...side, ...part }));
  const same = (items: (string | number)[]) =>
    items.map((item) => [String(item), String(item)] as [string, string]);
  return (
    <div class="fields">
      <Select
        label="Family"
        value={side.family}
        options={Object.entries(content.families).map(([name, family]) => [name, family.label])}
        onChoose={(family) => change({ family })}
      />
      <Select
        label="τ"
        value={side.tau}
        options={same(tausOf(side.family))}
        onChoose={(tau) => change({ tau })}
      />
      <Select
        label="Seed"
        value={String(side.seed)}
        options={same(seedsOf(side.family, side.tau))}
        onChoose={(seed) => change({ seed: Number(seed) })}
      />
      <Select
        label="Layer"
        value={side.layer}
        options={same(layersOf(side.family, side.tau, side.seed))}
        onChoose={(layer) => change({ layer })}
      />
    </div>
  );
}

export function QuantityControls(props: { view: View; onChoose: (quantity: string) => void }) {
  const { view, onChoose } = props;
  const possible = [...new Set(view.sides.flatMap(quantitiesOf))];
  const groups = [...new Set(possible.map((name) => describe(name).group))];
  const chosen = describe(view.quantity);
  const members = possible.filter((name) => describe(name).group === chosen.group);
  const first = (group: string) => {
    const same = possible.filter((name) => describe(name).group === group);
    return same.find((name) => describe(name).member === chosen.member) ?? same[0]!;
  };
  return (
    <>
      <Select
        label="Quantity"
        value={chosen.group}
        options={groups.map((group) => [group, describe(first(group)).label])}
        onChoose={(group) => onChoose(first(group))}
      />
      {members.length > 1 && (
        <Select
          label="Of"
          value={view.quantity}
          options={members.map((name) => [name, describe(name).member])}
          onChoose={onChoose}
        />
      )}
    </>
  );
}

interface PlayerProps {
  name: string;
  text: string;
  count: number;
  value: number;
  milliseconds: number;
  onMove: (value: number) => void;
  onPlaying: (playing: boolean) => void;
  children?: ComponentChildren;
}

/** A slider that can play. */
export function Player(props: PlayerProps) {
  const { name, count, value, milliseconds, onMove, onPlaying } = props;
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    onPlaying(playing);
    if (!playing) return undefined;
    const timer = setTimeout(() => onMove((value + 1) % count), milliseconds);
    return () => clearTimeout(timer);
  }, [playing, value, count]);
  useEffect(() => () => onPlaying(false), []);
  const id = `slider-${name.replace(/\W+/g, "-").toLowerCase()}`;
  return (
    <div class="player">
      <label for={id}>
        {name}: <output for={id}>{props.text}</output>
      </label>
      {props.children}
      <div class="track">
        <button type="button" aria-label={`${playing ? "Pause" : "Play"} ${name}`} onClick={() => setPlaying(!playing)}>
          {playing ? "❚❚" : "▶"}
        </button>
        <input
          id={id}
          type="range"
          min={0}
          max={count - 1}
          step={1}
          value={value}
          aria-valuetext={props.text}
          onInput={(event) => onMove(Number(event.currentTarget.value))}
        />
      </div>
    </div>
  );
}
