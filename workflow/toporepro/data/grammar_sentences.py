"""Sentences of the seeded grammar: a small English with the dependencies that BLiMP tests.

Subjects agree with their verbs, demonstratives with their nouns, reflexives with the subject of
their clause; "ever" stands where "no" licenses it; "what" leaves a gap. How far apart the two ends
of a dependency may be, and how often it is seen, makes some of them harder to learn than others.

Of the combinations of a subject with a verb, and of a kind of demonstrative with a noun, one in
five is held out: no sentence of the training text has it, and every minimal pair turns on one.
"""

from __future__ import annotations

import random
import zlib
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from toporepro.data.grammar_words import (
    ADJECTIVES,
    ANIMATE,
    ASKING,
    INTRANSITIVE,
    KNOWING,
    NAMES,
    NOUNS,
    PEOPLE,
    PREPOSITIONS,
    REFLEXIVE,
    SAYING,
    TRANSITIVE,
    Noun,
    Verb,
)

T = TypeVar("T")
Words = list[str]
Verbs = tuple[Verb, ...]

DEMONSTRATIVES = {"near": ("this", "these"), "far": ("that", "those")}
_HELD_OUT_OF = 5
_GROUPS = (INTRANSITIVE, TRANSITIVE, REFLEXIVE, SAYING + KNOWING)
_TOPICAL = 0.5  # of the nouns, from those that a document is about
_TOPICS = 6
_KINDS = tuple(NOUNS)


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: its words, its head, its number."""

    words: Words
    head: Noun
    plural: bool

    @property
    def reflexive(self) -> str:
        return "themselves" if self.plural else self.head.reflexive


class Grammar:
    """A speaker of the grammar, who draws from a random generator.

    Args:
        seed: of the combinations that are held out.
        stream: tells the sentences of speakers with the same seed apart.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._seed = seed
        # Of a generator's methods only random() stays the same in all versions of Python.
        self._random = random.Random(f"{seed} {stream}").random  # noqa: S311
        self._weights: dict[int, list[float]] = {}
        self._held_out: dict[Noun, frozenset[Verb]] = {}
        self._fitting: dict[tuple[Noun, Verbs, bool], Verbs] = {}
        self._topics: dict[str, list[Noun]] = {}

    def document(self, sentences: int) -> str:
        """So many sentences about a few things, a line each."""
        nouns = [self.often(NOUNS[self.pick(_KINDS)]) for _ in range(_TOPICS)]
        self._topics = {}
        for noun in (*nouns, self.often(NAMES)):
            self._topics.setdefault("names" if not noun.plural else noun.kind, []).append(noun)
        return "\n".join(written(self.sentence()) for _ in range(sentences)) + "\n"

    def sentence(self) -> Words:
        """The words of one sentence."""
        if self.chance(0.08):
            subject = self.negative()
            return subject.words + self.perfect(subject, "ever" if self.chance(0.75) else "")
        return self.clause(0)

    # What is drawn.

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, among: Sequence[T]) -> T:
        """One of them, all alike."""
        return among[int(self._random() * len(among))]

    def often(self, among: Sequence[T]) -> T:
        """One of them, the first ones more often."""
        weights = self._weights.get(len(among))
        if weights is None:
            weights = list(accumulate((rank + 1) ** -0.7 for rank in range(len(among))))
            self._weights[len(among)] = weights
        return among[bisect(weights, self._random() * weights[-1])]

    def noun(self, kinds: Sequence[str]) -> Noun:
        """A noun of one of these kinds, often one that the document is about."""
        if self.chance(_TOPICAL):
            topical = [noun for kind in kinds for noun in self._topics.get(kind, ())]
            if topical:
                return self.pick(topical)
        return self.often(NOUNS[self.pick(kinds)])

    def name(self) -> Phrase:
        topical = self._topics.get("names")
        name = topical[0] if topical and self.chance(_TOPICAL) else self.often(NAMES)
        return Phrase([name.singular], name, plural=False)

    def verb(self, subject: Noun, verbs: Verbs, *, held_out: bool = False) -> Verb | None:
        """One of these verbs that has this subject in training, or that is held out with it."""
        key = (subject, verbs, held_out)
        fitting = self._fitting.get(key)
        if fitting is None:
            fitting = self._fitting[key] = tuple(
                verb
                for verb in verbs
                if (verb in self.held_out_with(subject)) == held_out
                and subject.kind in verb.subjects
            )
        return self.often(fitting) if fitting else None

    def held_out_with(self, subject: Noun) -> frozenset[Verb]:
        """The verbs that no sentence of the training text has with this subject.

        One in five of each group of verbs, so that there are always others.
        """
        known = self._held_out.get(subject)
        if known is None:
            found = []
            for group in _GROUPS:
                fitting = [verb for verb in group if subject.kind in verb.subjects]
                fitting.sort(key=lambda verb: self._hash(subject.singular, verb.base))
                found += fitting[self._hash(subject.singular) % _HELD_OUT_OF :: _HELD_OUT_OF]
            known = self._held_out[subject] = frozenset(found)
        return known

    def _hash(self, *words: str) -> int:
        return zlib.crc32(" ".join((str(self._seed), *words)).encode())

    # What sentences are made of.

    def demonstrative(self, noun: Noun, plural: bool, *, held_out: bool = False) -> str | None:
        """``this``, ``that`` or a plural of theirs, likewise; ``None`` if there is none."""
        fitting = [
            forms
            for family, forms in DEMONSTRATIVES.items()
            if (self._hash(family, noun.singular) % _HELD_OUT_OF == 0) == held_out
        ]
        return self.pick(fitting)[plural] if fitting else None

    def determiner(self, noun: Noun, plural: bool) -> str:
        draw = self._random()
        if draw < 0.22:
            return self.demonstrative(noun, plural) or "the"
        if draw < 0.42:
            return "some" if plural else "a"
        if draw < 0.5:
            return "two" if plural else "every"
        return "the"

    def simple(
        self,
        noun: Noun,
        plural: bool,
        *,
        determiner: str | None = None,
        adjectives: int | None = None,
    ) -> Phrase:
        """Determiner, adjectives, noun."""
        if adjectives is None:
            adjectives = (self.chance(0.25)) + (self.chance(0.05))
        words = [determiner or self.determiner(noun, plural)]
        known = ADJECTIVES[noun.kind]
        first = int(self._random() * len(known))
        words += [known[(first + 3 * place) % len(known)] for place in range(adjectives)]
        return Phrase([*words, noun.form(plural)], noun, plural)

    def some(self, kinds: Sequence[str], *, plural: bool | None = None) -> Phrase:
        """Something or, of people, somebody by name."""
        if PEOPLE in kinds and not plural and self.chance(0.25):
            return self.name()
        return self.simple(self.noun(kinds), self.chance(0.45) if plural is None else plural)

    def beside(self, phrase: Phrase, other: Phrase) -> Phrase:
        """The phrase, and where that is."""
        words = [*phrase.words, self.pick(PREPOSITIONS), *other.words]
        return Phrase(words, phrase.head, phrase.plural)

    def seen_by(self, phrase: Phrase, other: Phrase) -> Phrase:
        """The phrase with a relative clause of which it is the object."""
        verb = self.verb(other.head, TAKING[phrase.head.kind])
        if verb is None:
            return phrase
        words = [*phrase.words, "that", *other.words, verb.form(other.plural)]
        return Phrase(words, phrase.head, phrase.plural)

    def seeing(self, phrase: Phrase, other: Phrase) -> Phrase:
        """The phrase with a relative clause of which it is the subject."""
        verb = self.verb(phrase.head, TAKING[other.head.kind])
        if verb is None:
            return phrase
        words = [*phrase.words, "that", verb.form(phrase.plural), *other.words]
        return Phrase(words, phrase.head, phrase.plural)

    def subject(self) -> Phrase:
        """A subject, now and then with something between its head and its verb."""
        phrase = self.some(self.pick(_SUBJECTS))
        draw = self._random()
        if not phrase.head.plural or draw > 0.24:
            return phrase
        if draw < 0.1:
            return self.beside(phrase, self.some(_KINDS))
        if draw < 0.18 and phrase.head.kind in ANIMATE:
            other = self.none() if self.chance(0.25) else self.some(ANIMATE)
            return self.seen_by(phrase, other)
        if phrase.head.kind in ANIMATE:
            return self.seeing(phrase, self.some(ANIMATE))
        return phrase

    def negative(self) -> Phrase:
        """A phrase with ``no``, which licenses ``ever`` in its clause."""
        phrase = self.none()
        return self.seen_by(phrase, self.some(ANIMATE)) if self.chance(0.25) else phrase

    def none(self) -> Phrase:
        return self.simple(self.noun(ANIMATE), self.chance(0.45), determiner="no", adjectives=0)

    def clause(self, depth: int) -> Words:
        """Subject and predicate; ``depth`` clauses lie around it."""
        subject = self.subject() if depth == 0 else self.some(self.pick(_SUBJECTS))
        words = subject.words + self.predicate(subject, depth)
        if depth == 0 and self.chance(0.12):
            words = [*words, "and", *self.action(subject)]
        return words

    def predicate(self, subject: Phrase, depth: int) -> Words:
        draw = self._random()
        if draw < 0.15:
            return self.perfect(subject, self.pick(("already", "often", "")))
        if subject.head.kind == PEOPLE:
            if draw < 0.33:
                return self.reflexive(subject) or self.action(subject)
            if draw < (0.58 if depth == 0 else 0.49) and depth < 2:
                verb = self.verb(subject.head, KNOWING if self.chance(0.75) else SAYING)
                if verb:
                    return [verb.form(subject.plural), *self.content(verb, depth)]
        return self.action(subject)

    def content(self, verb: Verb, depth: int) -> Words:
        """What is said or known: ``that …``, or ``what …`` with a gap."""
        if depth == 0 and self.chance(ASKING.get(verb, 0.0)):
            return ["what", *self.gap(self.chance(0.25))]
        return ["that", *self.clause(depth + 1)]

    def action(self, subject: Phrase) -> Words:
        """A verb, and an object if it takes one."""
        verb = self.any_verb(subject.head)
        return [verb.form(subject.plural), *self.object_of(verb)]

    def perfect(self, subject: Phrase, adverb: str) -> Words:
        verb = self.any_verb(subject.head)
        middle = [adverb] if adverb else []
        return [have(subject), *middle, verb.participle, *self.object_of(verb)]

    def any_verb(self, subject: Noun) -> Verb:
        verb = self.verb(subject, INTRANSITIVE if self.chance(0.4) else TRANSITIVE)
        assert verb is not None  # of each group, more are kept than held out
        return verb

    def object_of(self, verb: Verb) -> Words:
        return self.some(verb.objects).words if verb.objects else []

    def reflexive(self, subject: Phrase) -> Words:
        verb = self.verb(subject.head, REFLEXIVE)
        if verb is None:
            return []
        if self.chance(0.4):
            return [have(subject), verb.participle, subject.reflexive]
        return [verb.form(subject.plural), subject.reflexive]

    def gap(self, long: bool) -> Words:
        """A clause without the object that its verb needs, or a clause around such a one."""
        subject = self.some((PEOPLE,) if long else ANIMATE)
        verb = self.verb(subject.head, SAYING if long else TRANSITIVE)
        assert verb is not None
        inner = ["that", *self.gap(long=False)] if long else []
        return [*subject.words, verb.form(subject.plural), *inner]


_SUBJECTS = ((PEOPLE,), (PEOPLE,), ("animals",), ("animals",), ("vehicles",))
TAKING: dict[str, Verbs] = {
    kind: tuple(verb for verb in TRANSITIVE if kind in verb.objects) for kind in NOUNS
}


def have(subject: Phrase) -> str:
    """The auxiliary of the perfect, which agrees with the subject."""
    return "have" if subject.plural else "has"


def written(words: Words) -> str:
    """A sentence as people write it: a capital, ``an`` before vowels, a full stop."""
    spelt = [
        "an" if word == "a" and following[0] in "aeiou" else word
        for word, following in zip(words, [*words[1:], "."], strict=True)
    ]
    return f"{spelt[0][0].upper()}{spelt[0][1:]}{''.join(f' {word}' for word in spelt[1:])}."
