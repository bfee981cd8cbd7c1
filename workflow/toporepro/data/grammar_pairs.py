"""Minimal pairs of the seeded grammar, in the form of BLiMP's, whose terms they use.

Each sentence turns on a combination of words that the training text never has (``Grammar``): no
pair can be known by heart. In ``subject_verb_pp_relative`` the structure is new as well: there, a
subject has a prepositional phrase and a relative clause in it, in the training text one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from toporepro.data.grammar_sentences import TAKING, Grammar, Phrase, Words, have, written
from toporepro.data.grammar_words import (
    ANIMATE,
    INTRANSITIVE,
    KNOWING,
    NOUNS,
    PEOPLE,
    REFLEXIVE,
    SAYING,
    TRANSITIVE,
)
from toporepro.data.pairs import Pair

Sentences = tuple[Words, Words]  # the good one and the bad one
Draw = Callable[[Grammar], Sentences | None]
_KINDS = tuple(NOUNS)
_GENDERED = NOUNS[PEOPLE]


def grammar_pairs(seed: int, each: int) -> Iterator[Pair]:
    """``each`` different pairs of every paradigm."""
    for paradigm, (field, phenomenon, draw) in PARADIGMS.items():
        speaker = Grammar(seed, paradigm)
        found: set[tuple[str, str]] = set()
        while len(found) < each:
            sentences = draw(speaker)
            if sentences is None:  # nothing is held out of what was drawn
                continue
            good, bad = map(written, sentences)
            if (good, bad) not in found:
                found.add((good, bad))
                yield Pair(good, bad, paradigm, field, phenomenon)


def _determiner_noun(adjectives: int) -> Draw:
    """Anna sees *these (old) dogs* / *these (old) dog*."""

    def draw(speaker: Grammar) -> Sentences | None:
        subject, plural = speaker.some((PEOPLE,)), speaker.chance(0.5)
        verb = speaker.verb(subject.head, TRANSITIVE)
        assert verb is not None
        noun = speaker.pick(NOUNS[speaker.pick(verb.objects)])
        which = speaker.demonstrative(noun, plural, held_out=True)
        if which is None:
            return None
        before = [*subject.words, verb.form(subject.plural)]
        object_ = speaker.simple(noun, plural, determiner=which, adjectives=adjectives).words
        good = [*before, *object_]
        return good, [*good[:-1], noun.form(not plural)]

    return draw


def _agreement(
    lengthen: Callable[[Grammar, Phrase, bool], Phrase | None],
) -> Draw:
    """The dogs … *run* / *runs*; what is between has the other number."""

    def draw(speaker: Grammar) -> Sentences | None:
        plural = speaker.chance(0.5)
        subject = speaker.simple(speaker.pick(NOUNS[speaker.pick(ANIMATE)]), plural)
        whole = lengthen(speaker, subject, not plural)
        verbs = INTRANSITIVE if speaker.chance(0.6) else TRANSITIVE
        verb = speaker.verb(subject.head, verbs, held_out=True)
        if verb is None or whole is None:
            return None
        rest = speaker.object_of(verb)
        good, bad = ([verb.form(number), *rest] for number in (plural, not plural))
        return [*whole.words, *good], [*whole.words, *bad]

    return draw


def _alone(speaker: Grammar, subject: Phrase, other: bool) -> Phrase:
    return subject


def _with_pp(speaker: Grammar, subject: Phrase, other: bool) -> Phrase:
    return speaker.beside(subject, speaker.some(_KINDS, plural=other))


def _with_object_relative(speaker: Grammar, subject: Phrase, other: bool) -> Phrase | None:
    whole = speaker.seen_by(subject, speaker.some(ANIMATE, plural=other))
    return whole if whole is not subject else None


def _with_subject_relative(speaker: Grammar, subject: Phrase, other: bool) -> Phrase | None:
    whole = speaker.seeing(subject, speaker.some(ANIMATE, plural=other))
    return whole if whole is not subject else None


def _with_both(speaker: Grammar, subject: Phrase, other: bool) -> Phrase | None:
    return _with_object_relative(speaker, _with_pp(speaker, subject, other), other)


def _with_conjunct(speaker: Grammar, subject: Phrase, other: bool) -> Phrase | None:
    """Not longer in itself: a first predicate stands between it and the second."""
    verb = speaker.verb(subject.head, TRANSITIVE)
    assert verb is not None
    object_ = speaker.some(verb.objects, plural=other).words
    words = [*subject.words, verb.form(subject.plural), *object_, "and"]
    return Phrase(words, subject.head, subject.plural)


def _anaphor(
    wrong: Callable[[Phrase], str],
    *,
    plural: bool | None = False,
    perfect: bool = False,
    before: Callable[[Grammar, Phrase], Words] = lambda speaker, subject: [],
    after: Callable[[Grammar, Phrase], Words] = lambda speaker, subject: [],
) -> Draw:
    """The queen … trusts (has trusted) *herself* / *himself*."""

    def draw(speaker: Grammar) -> Sentences | None:
        number = speaker.chance(0.5) if plural is None else plural
        subject = speaker.simple(speaker.pick(_GENDERED), number)
        verb = speaker.verb(subject.head, REFLEXIVE, held_out=True)
        if verb is None:
            return None
        words = [*before(speaker, subject), *subject.words, *after(speaker, subject)]
        words += [have(subject), verb.participle] if perfect else [verb.form(subject.plural)]
        return [*words, subject.reflexive], [*words, wrong(subject)]

    return draw


def _other_number(subject: Phrase) -> str:
    return subject.head.reflexive if subject.plural else "themselves"


def _other_gender(subject: Phrase) -> str:
    return "herself" if subject.head.reflexive == "himself" else "himself"


def _of_other_gender(speaker: Grammar, subject: Phrase) -> Phrase:
    others = [noun for noun in _GENDERED if noun.reflexive != subject.head.reflexive]
    return speaker.simple(speaker.pick(others), plural=False)


def _near_another(speaker: Grammar, subject: Phrase) -> Words:
    return speaker.beside(Phrase([], subject.head, False), _of_other_gender(speaker, subject)).words


def _another_thinks(speaker: Grammar, subject: Phrase) -> Words:
    other = _of_other_gender(speaker, subject)
    verb = speaker.verb(other.head, SAYING + KNOWING)
    assert verb is not None
    return [*other.words, verb.form(False), "that"]


def _npi_determiner(speaker: Grammar) -> Sentences | None:
    """*No* / *The* dog has ever run."""
    plural = speaker.chance(0.5)
    noun = speaker.pick(NOUNS[speaker.pick(ANIMATE)])
    rest = _ever(speaker, Phrase([], noun, plural))
    licensed = speaker.simple(noun, plural, determiner="no", adjectives=0).words
    other = "some" if plural else "every"
    free = speaker.simple(
        noun, plural, determiner="the" if speaker.chance(0.5) else other, adjectives=0
    ).words
    return ([*licensed, *rest], [*free, *rest]) if rest else None


def _npi_scope(speaker: Grammar) -> Sentences | None:
    """*No* dog that *the* cat likes has ever run / *The* dog that *no* cat likes has ever run."""
    plural, other = speaker.chance(0.5), speaker.chance(0.5)
    noun, inner = (speaker.pick(NOUNS[speaker.pick(ANIMATE)]) for _ in range(2))
    rest = _ever(speaker, Phrase([], noun, plural))
    verb = speaker.verb(inner, TAKING[noun.kind])
    if rest is None or verb is None:
        return None
    good, bad = (
        [outer, noun.form(plural), "that", of_inner, inner.form(other), verb.form(other), *rest]
        for outer, of_inner in (("no", "the"), ("the", "no"))
    )
    return good, bad


def _ever(speaker: Grammar, subject: Phrase) -> Words | None:
    verbs = INTRANSITIVE if speaker.chance(0.6) else TRANSITIVE
    verb = speaker.verb(subject.head, verbs, held_out=True)
    if verb is None:
        return None
    return [have(subject), "ever", verb.participle, *speaker.object_of(verb)]


def _wh(*, gap: bool, long: bool = False) -> Draw:
    """Anna knows *what* / *that* (Tom says that) the dog sees; or *that* / *what* it sees a cat."""

    def draw(speaker: Grammar) -> Sentences | None:
        outer = speaker.some((PEOPLE,))
        inner = speaker.simple(speaker.pick(NOUNS[speaker.pick(ANIMATE)]), speaker.chance(0.5))
        knows = speaker.verb(outer.head, KNOWING)
        sees = speaker.verb(inner.head, TRANSITIVE, held_out=True)
        if knows is None or sees is None:
            return None
        before = [*outer.words, knows.form(outer.plural)]
        clause = [*inner.words, sees.form(inner.plural)]
        if long:
            middle = speaker.some((PEOPLE,))
            says = speaker.verb(middle.head, SAYING)
            assert says is not None
            clause = [*middle.words, says.form(middle.plural), "that", *clause]
        if not gap:
            clause += speaker.object_of(sees)
        good, bad = ([*before, word, *clause] for word in ("what", "that"))
        return (good, bad) if gap else (bad, good)

    return draw


_BY_PHENOMENON: dict[tuple[str, str], dict[str, Draw]] = {
    ("morphology", "determiner_noun_agreement"): {
        "determiner_noun": _determiner_noun(0),
        "determiner_noun_adjective": _determiner_noun(1),
        "determiner_noun_two_adjectives": _determiner_noun(2),
    },
    ("morphology", "subject_verb_agreement"): {
        "subject_verb": _agreement(_alone),
        "subject_verb_pp": _agreement(_with_pp),
        "subject_verb_object_relative": _agreement(_with_object_relative),
        "subject_verb_subject_relative": _agreement(_with_subject_relative),
    },
    ("morphology", "long_distance_agreement"): {
        "subject_verb_coordination": _agreement(_with_conjunct),
        "subject_verb_pp_relative": _agreement(_with_both),
    },
    ("morphology", "anaphor_agreement"): {
        # In the perfect, where the verb itself does not tell the number.
        "anaphor_number": _anaphor(_other_number, plural=None, perfect=True),
        "anaphor_gender": _anaphor(_other_gender),
    },
    ("syntax_semantics", "binding"): {
        "anaphor_gender_pp": _anaphor(_other_gender, after=_near_another),
        "anaphor_gender_embedded": _anaphor(_other_gender, before=_another_thinks),
    },
    ("semantics", "npi_licensing"): {
        "npi_determiner": _npi_determiner,
        "npi_scope": _npi_scope,
    },
    ("syntax", "filler_gap_dependency"): {
        "wh_that_gap": _wh(gap=True),
        "wh_that_gap_long": _wh(gap=True, long=True),
        "wh_that_no_gap": _wh(gap=False),
    },
}
PARADIGMS: dict[str, tuple[str, str, Draw]] = {
    name: (field, phenomenon, draw)
    for (field, phenomenon), paradigms in _BY_PHENOMENON.items()
    for name, draw in paradigms.items()
}
