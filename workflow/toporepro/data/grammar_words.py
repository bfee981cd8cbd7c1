"""The lexicon of the seeded grammar: nouns by kind, verbs by what they take, frequent first."""

from __future__ import annotations

from dataclasses import dataclass

PEOPLE, ANIMALS, VEHICLES, FOOD, THINGS = "people", "animals", "vehicles", "food", "things"
ANIMATE = (PEOPLE, ANIMALS)


@dataclass(frozen=True)
class Noun:
    """A noun, or with ``plural == ""`` a name; its reflexive pronoun in the singular, if any."""

    singular: str
    plural: str
    kind: str
    reflexive: str = "itself"

    def form(self, plural: bool) -> str:
        return self.plural if plural else self.singular


@dataclass(frozen=True)
class Verb:
    """A verb, what may be its subject and its object; no object for verbs that take none."""

    base: str
    third: str
    participle: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...] = ()

    def form(self, plural: bool) -> str:
        """Present tense in the third person."""
        return self.base if plural else self.third


_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "wolf": "wolves",
    "knife": "knives",
    "loaf": "loaves",
    "shelf": "shelves",
    "bus": "buses",
    "box": "boxes",
    "pony": "ponies",
    "lady": "ladies",
    "taxi": "taxis",
    "peach": "peaches",
    "witch": "witches",
}


def _nouns(kind: str, names: str, reflexive: str = "itself") -> tuple[Noun, ...]:
    return tuple(
        Noun(name, _IRREGULAR.get(name, f"{name}s"), kind, reflexive) for name in names.split()
    )


_MEN = _nouns(PEOPLE, "boy man king father uncle farmer waiter", "himself")
_WOMEN = _nouns(PEOPLE, "girl woman queen mother aunt lady witch", "herself")
NOUNS: dict[str, tuple[Noun, ...]] = {
    PEOPLE: tuple(noun for pair in zip(_MEN, _WOMEN, strict=True) for noun in pair),
    ANIMALS: _nouns(ANIMALS, "dog cat horse bird cow mouse wolf goose pony duck pig snake"),
    VEHICLES: _nouns(VEHICLES, "car bus truck train boat taxi bike plane"),
    FOOD: _nouns(FOOD, "cake apple pie egg cookie loaf peach carrot"),
    THINGS: _nouns(THINGS, "book ball box cup lamp knife chair shelf coin letter"),
}
_MALE = ("Tom", "Sam", "Bill", "Max", "Paul", "Jack")
_FEMALE = ("Anna", "Mary", "Kate", "Eve", "Lucy", "Jane")
NAMES = tuple(
    noun
    for male, female in zip(_MALE, _FEMALE, strict=True)
    for noun in (Noun(male, "", PEOPLE, "himself"), Noun(female, "", PEOPLE, "herself"))
)
ADJECTIVES: dict[str, tuple[str, ...]] = {
    PEOPLE: ("old", "young", "happy", "tall", "kind", "tired", "rich", "clever"),
    ANIMALS: ("old", "small", "hungry", "wild", "tired", "brown", "black", "quiet"),
    VEHICLES: ("new", "fast", "red", "blue", "slow", "big", "loud", "broken"),
    FOOD: ("sweet", "fresh", "big", "small", "warm", "red", "cheap", "soft"),
    THINGS: ("new", "old", "small", "heavy", "blue", "broken", "cheap", "clean"),
}
PREPOSITIONS = ("near", "behind", "beside", "above")


def _verbs(subjects: tuple[str, ...], objects: tuple[str, ...], forms: str) -> tuple[Verb, ...]:
    """From words ``base/participle``; third persons end in -s, or -es after a sibilant."""
    made = []
    for word in forms.split():
        base, participle = word.split("/")
        third = f"{base}es" if base.endswith(("s", "sh", "ch", "x")) else f"{base}s"
        third = f"{base[:-1]}ies" if base.endswith("ry") else third
        made.append(Verb(base, third, participle, subjects, objects))
    return tuple(made)


INTRANSITIVE = (
    *_verbs(ANIMATE, (), "run/run sleep/slept wait/waited swim/swum fall/fallen jump/jumped"),
    *_verbs((PEOPLE,), (), "laugh/laughed sing/sung smile/smiled dance/danced"),
    *_verbs((VEHICLES,), (), "stop/stopped move/moved crash/crashed turn/turned"),
)
# Always with an object, so that one without is a gap.
TRANSITIVE = (
    *_verbs(
        ANIMATE, ANIMATE, "see/seen chase/chased follow/followed hear/heard like/liked push/pushed"
    ),
    *_verbs((PEOPLE,), ANIMATE, "feed/fed visit/visited thank/thanked"),
    *_verbs((PEOPLE,), (FOOD,), "cook/cooked bake/baked taste/tasted"),
    *_verbs(ANIMATE, (FOOD,), "eat/eaten want/wanted steal/stolen"),
    *_verbs((PEOPLE,), (VEHICLES,), "drive/driven park/parked repair/repaired"),
    *_verbs((PEOPLE,), (THINGS,), "hold/held carry/carried drop/dropped break/broken find/found"),
    *_verbs((VEHICLES,), (VEHICLES,), "pass/passed hit/hit"),
)
REFLEXIVE = _verbs(
    (PEOPLE,),
    (PEOPLE,),
    "hurt/hurt trust/trusted blame/blamed admire/admired help/helped wash/washed",
)
# With a clause: "that …" alone, or also "what …".
SAYING = _verbs((PEOPLE,), (), "think/thought say/said hope/hoped believe/believed")
KNOWING = _verbs((PEOPLE,), (), "know/known remember/remembered forget/forgotten")
# How often with "what …": some verbs seldom, so that the verb alone does not tell which it is.
ASKING = dict(zip(KNOWING, (0.2, 0.7, 0.7), strict=True))


def word_classes() -> dict[str, list[str]]:
    """Words of a class can take each other's places; for stimuli made of these sentences."""
    classes: dict[str, list[str]] = {}
    for kind, nouns in NOUNS.items():
        classes[f"{kind}, singular"] = [noun.singular for noun in nouns]
        classes[f"{kind}, plural"] = [noun.plural for noun in nouns]
        classes[f"adjectives of {kind}"] = list(ADJECTIVES[kind])
    classes["names"] = [name.singular for name in NAMES]
    classes["prepositions"] = list(PREPOSITIONS)
    return classes
