"""From figures to grades: a table of rules, each with its own grade and a sentence; the worst one is the take's grade.

Only the server copy is graded. What the participant meant is no fault: muted sound and a camera that was switched off
are not looked at for silence, black and freezes; a screen may stand still; a loud background is a figure, no fault.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from recorder.manifest import Manifest, PacketCounts, Segment, Take
from recorder.report import Grade, Report, SegmentFigures, SegmentReport, TakeReport
from recorder.take_facts import TakeFacts

MISSING: tuple[tuple[float, Grade], ...] = ((0.2, "F"), (0.05, "E"), (0.01, "D"), (0.001, "C"), (0.0, "B"))
"""What a missing share of the take costs: more than so much of it. Nothing missing costs nothing."""
CLIPPED: tuple[tuple[float, Grade], ...] = ((0.1, "E"), (0.01, "D"), (0.001, "C"), (0.000_01, "B"))
"""Of the samples. One in 100,000 is half a sample a second and not heard."""
BOUND: tuple[tuple[float, Grade], ...] = ((100e6, "C"), (20e6, "B"))
"""Nanoseconds. Sound is noticed to be 45 ms early or 125 ms late (ITU-R BT.1359), and two files have a bound each."""
SILENT_SHARE = 0.98
"""Of the time that a microphone was not muted: blocks at both ends of a mute are cut."""
LISTENING_NS = 10_000_000_000
"""Less says nothing about a microphone."""


class Finding(NamedTuple):
    grade: Grade
    reason: str


def grade_take(take: Take, figures: Mapping[str, SegmentFigures]) -> TakeReport:
    """`figures`: by segment id; a segment without was not looked at."""
    segments = [segment for segment in take.segments if segment.copy == "server"]
    facts = TakeFacts(take, segments, figures)
    found = [finding for rule in RULES for finding in rule(facts)] if segments else []
    found.sort(key=lambda finding: finding.grade, reverse=True)
    grade: Grade | None = found[0].grade if found else "A"
    return TakeReport(
        take_id=take.take_id,
        participant_id=take.participant_id,
        kind=take.kind,
        slot=take.slot,
        grade=grade if segments else None,
        reasons=[finding.reason for finding in found],
        duration_ms=round(facts.duration_ns / 1e6),
        between_files_ms=round(facts.between_ns / 1e6),
        segments=[_segment_report(segment, figures.get(segment.segment_id)) for segment in segments],
    )


def grade_recording(manifest: Manifest, figures: Mapping[str, SegmentFigures]) -> Report:
    """The same manifest and figures always give the same report."""
    takes = [grade_take(take, figures) for take in manifest.takes]
    grades = [take.grade for take in takes if take.grade is not None]
    worst = max(grades, default=None)
    reasons = []
    if worst is not None and worst != "A":
        count = grades.count(worst)
        reasons = [f"{count} of {_count(len(grades), 'take')} {'has' if count == 1 else 'have'} grade {worst}."]
    return Report(
        session_id=manifest.session_id,
        recording_id=manifest.recording_id,
        grade=worst,
        reasons=reasons,
        takes=takes,
    )


def _segment_report(segment: Segment, figures: SegmentFigures | None) -> SegmentReport:
    return SegmentReport(
        segment_id=segment.segment_id,
        state=segment.state,
        codec=segment.codec,
        start_ns=segment.start_ns,
        start_bound_ns=segment.start_bound_ns,
        drift_ppm=segment.drift_ppm,
        duration_ns=segment.duration_ns,
        torn=segment.torn,
        problem=segment.problem,
        packets=segment.packets,
        clock_corrections=len(segment.corrections),
        figures=figures,
    )


# --- the rules


def _no_file(facts: TakeFacts) -> list[Finding]:
    failed = [segment for segment in facts.segments if segment.state == "failed"]
    if not failed:
        return []
    problem = failed[0].problem or "no reason is known"
    if len(failed) == len(facts.segments):
        return [Finding("F", f"There is no file: {problem}.")]
    worth = [segment for segment in failed if segment.packets is None or segment.packets.received]
    if not worth:
        return []
    return [Finding("D", f"{len(worth)} of {_count(len(facts.segments), 'file')} could not be made: {problem}.")]


def _unaccounted(facts: TakeFacts) -> list[Finding]:
    """A packet that came and is neither in a file nor counted: then no figure can be trusted."""
    unknown = sum(abs(_unknown(counts)) + counts.unread for counts in facts.counts)
    return [Finding("F", f"What became of {_count(unknown, 'packet')} is not known.")] if unknown else []


def _unknown(counts: PacketCounts) -> int:
    """received - everything that it can have become."""
    unplaced = counts.duplicate + counts.late + counts.stray + counts.empty + counts.overlapping
    damaged = counts.malformed + counts.incomplete + counts.cut_short + counts.awaiting_key
    return counts.received - counts.written - unplaced - damaged - counts.not_written


def _missing(facts: TakeFacts) -> list[Finding]:
    missing_ms = sum(figures.gaps_ms.get(reason, 0) for _, figures in facts.found for reason in ("lost", "unsent"))
    what = "sound is concealed, because it" if facts.sound else "picture is missing, because it"
    return _share(facts, missing_ms, lambda share, time: f"{share} of the {what} never came ({time}).")


def _between(facts: TakeFacts) -> list[Finding]:
    """Of screens the time between two files is when nothing was shown."""
    if facts.take.kind not in ("microphone", "camera"):
        return []
    files = _count(sum(1 for segment in facts.segments if segment.duration_ns), "file")
    return _share(
        facts,
        round(facts.between_ns / 1e6),
        lambda share, time: f"It is in {files}, and between them {time} are missing ({share}).",
    )


def _stopped(facts: TakeFacts) -> list[Finding]:
    if facts.take.kind not in ("microphone", "camera"):
        return []
    stopped_ms = sum(figures.gaps_ms.get("clock", 0) for _, figures in facts.found)
    return _share(facts, stopped_ms, lambda share, time: f"For {time} its sender captured nothing ({share}).")


def _paused(facts: TakeFacts) -> list[Finding]:
    """Silence that the sender did not send sounds like silence; that it was nothing else cannot be known."""
    paused_ms = sum(figures.gaps_ms.get("paused", 0) for _, figures in facts.found)
    if not facts.sound or not paused_ms:
        return []
    return [Finding("B", f"For {_time(paused_ms)} no sound was sent; the file conceals it.")]


def _frozen(facts: TakeFacts) -> list[Finding]:
    if not facts.camera:
        return []
    spans = [span for segment, figures in facts.seen for span in facts.unmuted(segment, figures.freezes)]
    if not spans:
        return []
    frozen_ms = round(sum(end - begin for begin, end in spans) / 1e6)
    longest = _time(round(max(end - begin for begin, end in spans) / 1e6))
    times = "once" if len(spans) == 1 else f"{len(spans)} times"
    return _share(
        facts,
        frozen_ms,
        lambda share, time: f"The picture stands still {times}, {time} in all ({share}), at most {longest}.",
    )


def _black(facts: TakeFacts) -> list[Finding]:
    if not facts.camera:
        return []
    times = [segment.start_ns + at_ms * 1_000_000 for segment, figures in facts.seen for at_ms in figures.black_ms]
    black = sum(1 for at_ns in times if not facts.muted(at_ns))
    examined = sum(figures.examined for _, figures in facts.seen)
    if not black:
        return []
    # Between two key frames nothing is known, so this is no share of the time.
    return [Finding("D" if 2 * black >= examined else "C", f"{black} of {examined} examined pictures are black.")]


def _spatial_layers(facts: TakeFacts) -> list[Finding]:
    layers = max((segment.spatial_layers for segment in facts.segments), default=0)
    if not layers:
        return []
    return [Finding("D", f"Its sender used {layers} spatial layers, of which many players show the smallest.")]


def _silent(facts: TakeFacts) -> list[Finding]:
    if facts.take.kind != "microphone":
        return []
    whole = [(segment.start_ns, segment.start_ns + segment.duration_ns) for segment, _ in facts.heard]
    listened_ns = sum(end - begin for begin, end in facts.without_mutes(whole))
    silent = [span for segment, figures in facts.heard for span in facts.unmuted(segment, figures.silence)]
    silent_ns = sum(end - begin for begin, end in silent)
    if listened_ns < LISTENING_NS or silent_ns < SILENT_SHARE * listened_ns:
        return []
    return [Finding("D", f"Nothing is to be heard in the {_time(round(listened_ns / 1e6))} that were not muted.")]


def _clipped(facts: TakeFacts) -> list[Finding]:
    clipped = sum(figures.clipped_samples for _, figures in facts.heard)
    share = clipped / max(1, sum(figures.samples for _, figures in facts.heard))
    touched_ms = sum(figures.clipped.total_ms for _, figures in facts.heard)
    grade = _grade_of(share, CLIPPED)
    return [Finding(grade, f"{_percent(share)} of the samples are clipped, in {_time(touched_ms)}.")] if grade else []


def _undecodable(facts: TakeFacts) -> list[Finding]:
    packets = sum(figures.undecodable for _, figures in facts.heard)
    of_all = max(1, sum(figures.packets for _, figures in facts.heard))
    findings = []
    if grade := _grade_of(packets / of_all, MISSING):
        findings.append(Finding(grade, f"A decoder refuses {packets} of {_count(of_all, 'packet')}."))
    pictures = sum(figures.undecodable for _, figures in facts.seen)
    if pictures:
        tried = pictures + sum(figures.examined for _, figures in facts.seen)
        findings.append(Finding("D", f"A decoder refuses {pictures} of {_count(tried, 'examined picture')}."))
    return findings


def _not_examined(facts: TakeFacts) -> list[Finding]:
    findings = [
        Finding("C", f"It was not examined to its end: {figures.problem}.")
        for _, figures in facts.found
        if figures.problem
    ]
    stored = [segment for segment in facts.segments if segment.state != "failed"]
    if any(segment.segment_id not in facts.figures for segment in stored):
        findings.append(Finding("B", "It was not examined: an earlier version made the file."))
    return findings


def _bound(facts: TakeFacts) -> list[Finding]:
    bound_ns = max((segment.start_bound_ns for segment in facts.segments if segment.duration_ns), default=0)
    grade = _grade_of(bound_ns, BOUND)
    return [Finding(grade, f"When it begins is known to ±{round(bound_ns / 1e6)} ms only.")] if grade else []


def _torn(facts: TakeFacts) -> list[Finding]:
    torn = [segment for segment in facts.segments if segment.torn and segment.state != "failed"]
    if not torn:
        return []
    if damaged := next((segment.problem for segment in torn if segment.problem), ""):
        return [Finding("C", f"The server stopped in the middle: {damaged}.")]
    return [Finding("B", "The server stopped in the middle: what it had not yet written is missing at the end.")]


def _dropped(facts: TakeFacts) -> list[Finding]:
    """Their time is missing already; this says whose fault it was."""
    dropped = sum(counts.dropped for counts in facts.counts)
    return [Finding("B", f"The server's disk was too slow for {_count(dropped, 'packet')}.")] if dropped else []


RULES: tuple[Callable[[TakeFacts], list[Finding]], ...] = (
    _no_file,
    _unaccounted,
    _missing,
    _between,
    _stopped,
    _paused,
    _frozen,
    _black,
    _spatial_layers,
    _silent,
    _clipped,
    _undecodable,
    _not_examined,
    _bound,
    _torn,
    _dropped,
)


# --- figures in words


def _share(facts: TakeFacts, missing_ms: int, reason: Callable[[str, str], str]) -> list[Finding]:
    share = missing_ms * 1_000_000 / max(1, facts.duration_ns + facts.between_ns)
    grade = _grade_of(share, MISSING)
    return [Finding(grade, reason(_percent(share), _time(missing_ms)))] if grade else []


def _grade_of(value: float, table: tuple[tuple[float, Grade], ...]) -> Grade | None:
    return next((grade for limit, grade in table if value > limit), None)


def _percent(share: float) -> str:
    percent = 100 * share
    if percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2f} %" if percent < 0.1 else f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _time(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
