"""The modules of the web client alone, in a real browser without the program: cores, the spool on disk, uploads.

One browser serves all tests; every test has an origin of its own (and with it a disk of its own).
"""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from signaling import messages
from tests.support import chromium

WEB = Path(__file__).parents[2] / "web"
TYPES = {".js": "text/javascript", ".html": "text/html"}
Json = dict[str, Any]

OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "a=mid:0",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;stereo=1;useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:1",
        "a=rtpmap:96 VP8/90000",
        "",
    )
)
META = {
    "capture_id": "c1",
    "session_id": "ses_aaaaaaaaaaaaaaaa",
    "recording_id": "rec_aaaaaaaaaaaaaaaa",
    "participant_id": "par_aaaaaaaaaaaaaaaa",
    "token": "secret",
    "kind": "camera",
    "content_type": "video/webm",
    "start_ms": 5000,
    "bound_ms": 12,
    "chunk_ms": 10_000,
    "chunk_bytes": 1000,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium.executable(), headless=True, args=chromium.FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    fresh = browser.new_context()
    fresh.route("http://localhost:9/**", _serve)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return _open(context)


def _open(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("http://localhost:9/")
    return page


def _serve(route: Route) -> None:
    path = urlsplit(route.request.url).path
    file = WEB / path.removeprefix("/static/")
    if path == "/":
        route.fulfill(body="<!doctype html>", content_type="text/html")
    elif file.is_file():
        route.fulfill(body=file.read_text(), content_type=TYPES[file.suffix])
    else:
        route.fulfill(status=404)


def run(page: Page, module: str, body: str, argument: object = None) -> Any:
    """Run `body` with `m`, the module's exports, and `argument`."""
    script = f"async (argument) => {{ const m = await import('/static/js/{module}'); {body} }}"
    return page.evaluate(script, argument)


# --- the timeline of a recording


def test_every_second_has_its_own_label_whatever_the_recording_began_with(page: Page) -> None:
    """Milliseconds from nanoseconds are no whole numbers, and 6 s later were 5.999."""
    recording = {
        "started_ms": 11_775.295547,
        "stopped_ms": 21_344.90174,
        "participants": [],
        "takes": [],
        "off_record": [],
    }
    body = """
        const timeline = new m.Timeline();
        document.body.append(timeline.element);
        timeline.element.style.width = '1500px';
        timeline.update(argument);
        return [...timeline.element.querySelectorAll('.tick')].map((tick) => tick.textContent)
    """
    assert run(page, "ui/timeline.js", body, recording) == [f"0:0{second}" for second in range(10)]


# --- session descriptions


def test_opus_alone_gets_a_nack_line_and_only_once(page: Page) -> None:
    body = "const once = m.withAudioNack(argument); return [once, m.withAudioNack(once)]"
    once, twice = run(page, "sdp.js", body, OFFER)
    assert once == OFFER.replace("opus/48000/2\r\n", "opus/48000/2\r\na=rtcp-fb:111 nack\r\n")
    assert twice == once


def test_a_description_without_opus_comes_back_unchanged(page: Page) -> None:
    video = OFFER.replace("opus", "L16")
    assert run(page, "sdp.js", "return m.withAudioNack(argument)", video) == video


@pytest.mark.parametrize(("offered", "answered"), [("stereo=1", True), ("stereo=0", False), ("sprop-stereo=1", False)])
def test_the_answer_is_stereo_as_the_offer_is(page: Page, offered: str, answered: bool) -> None:
    offer = OFFER.replace("stereo=1", offered)
    mono = OFFER.replace("stereo=1;", "")
    answer = run(page, "sdp.js", "return m.withStereoAsOffered(...argument)", [mono, offer])
    assert (";stereo=1" in answer) is answered
    assert answer.count("stereo") == int(answered)


def test_codecs_come_in_the_order_of_the_server_with_their_repair(page: Page) -> None:
    codecs = [
        {"mimeType": "video/VP8"},
        {"mimeType": "video/rtx"},
        {"mimeType": "video/H264", "sdpFmtpLine": "packetization-mode=0"},
        {"mimeType": "video/H264", "sdpFmtpLine": "packetization-mode=1"},
        {"mimeType": "video/ulpfec"},
        {"mimeType": "video/VP9"},
    ]
    ordered = run(page, "sdp.js", "return m.preferredCodecs(...argument)", [codecs, ["H264", "AV1", "VP8"]])
    assert ordered == [codecs[3], codecs[2], codecs[0], codecs[1]]
    assert run(page, "sdp.js", "return m.preferredCodecs(...argument)", [codecs, ["AV1"]]) == []


# --- what a page says about itself


def outbound(id: str, at_ms: int, octets: int, **more: object) -> Json:
    return {"id": id, "type": "outbound-rtp", "kind": "video", "timestamp": at_ms, "bytesSent": octets, **more}


def summaries(page: Page, *moments: tuple[list[Json], list[Json]]) -> list[Json]:
    """Of one page, of what getStats of its two connections said at these moments."""
    body = "const s = new m.PageSummary(); return argument.map(([publish, subscribe]) => s.take(publish, subscribe))"
    found: list[Json] = run(page, "page_figures.js", body, [list(moment) for moment in moments])
    return found


def test_a_page_without_connections_has_nothing_to_say(page: Page) -> None:
    assert summaries(page, ([], [])) == [{"sent": [], "received": None, "publish": None, "subscribe": None}]


def test_layers_of_a_camera_are_summed_and_the_largest_speaks_for_them(page: Page) -> None:
    def moment(at_ms: int, octets: int) -> list[Json]:
        small = outbound("a", at_ms, octets, frameHeight=180, frameWidth=320, qualityLimitationReason="none")
        large = outbound("b", at_ms, 4 * octets, frameHeight=720, frameWidth=1280, framesPerSecond=29.97)
        report = {"id": "r", "type": "remote-inbound-rtp", "timestamp": at_ms, "localId": "b", "fractionLost": 0.03125}
        return [small, large | {"qualityLimitationReason": "cpu"}, report]

    first, second = summaries(page, (moment(1000, 1000), []), (moment(11_000, 251_000), []))
    assert first["sent"][0]["bitrate_bps"] == 0, "a rate needs two readings"
    assert second["sent"] == [
        {
            "kind": "camera",
            "bitrate_bps": 1_000_000,
            "width": 1280,
            "height": 720,
            "fps": 30,
            "limited_by": "cpu",
            "lost": 0.0313,
        }
    ]


def test_what_is_received_is_told_since_the_report_before(page: Page) -> None:
    def inbound(id: str, n: int) -> Json:
        counters = ("packetsReceived", "packetsLost", "freezeCount", "framesDropped", "concealedSamples")
        return {
            "id": id,
            "type": "inbound-rtp",
            "timestamp": 10_000 * n,
            "bytesReceived": 125_000 * n,
            "totalSamplesReceived": 1000 * n,
            "totalFreezesDuration": 0.25 * n,
            "jitterBufferDelay": 3.0 * n,
            "jitterBufferEmittedCount": 50 * n,
            **dict.fromkeys(counters, 10 * n),
        }

    *_, last = summaries(page, *(([], [inbound("a", n), inbound("b", n)]) for n in (1, 2, 3)))
    assert last["received"] == {
        "tracks": 2,
        "bitrate_bps": 200_000,
        "packets": 20,
        "lost": 20,
        "freezes": 20,
        "frozen_ms": 500,
        "frames_dropped": 20,
        "concealed": 0.01,
        "jitter_buffer_ms": 60,
    }


def test_counters_that_go_back_and_nonsense_stay_within_what_the_studio_takes(page: Page) -> None:
    ids = {"type": "inbound-rtp", "id": "a"}
    before = ids | {"timestamp": 1000, "packetsReceived": 100, "packetsLost": 5, "bytesReceived": 0}
    after = ids | {"timestamp": 1000.000001, "packetsReceived": 3, "packetsLost": -7, "bytesReceived": 1e15}
    broken = [outbound("b", 1, 1, frameHeight=None, framesPerSecond="x", qualityLimitationReason="tiredness")]
    _, last = summaries(page, ([], [before]), (broken, [after]))
    received, (sent,) = last["received"], last["sent"]
    assert (received["packets"], received["lost"], received["bitrate_bps"]) == (0, 0, 10_000_000_000)
    assert (sent["height"], sent["fps"], sent["limited_by"]) == (0, 0, "none")
    read = {"type": "page_report", "figures": last}
    assert isinstance(messages.decode(msgspec.json.encode(read)), messages.PageReport)


@pytest.mark.parametrize(
    ("local", "shown"),
    [
        ({"candidateType": "host", "protocol": "udp"}, ("host", "udp")),
        ({"candidateType": "prflx", "protocol": "tcp"}, ("prflx", "tcp")),
        ({"candidateType": "relay", "protocol": "udp", "relayProtocol": "tls"}, ("relay", "tls")),
        ({"candidateType": "unheard of"}, ("host", "udp")),
    ],
)
def test_the_way_is_that_of_the_selected_pair(page: Page, local: Json, shown: tuple[str, str]) -> None:
    def pair(id: str, rtt_s: float) -> Json:
        return {"id": id, "type": "candidate-pair", "localCandidateId": f"local-{id}", "currentRoundTripTime": rtt_s}

    stats = [
        pair("old", 9.0),
        pair("new", 0.02) | {"availableOutgoingBitrate": 1_234_567.8},
        {"id": "t", "type": "transport", "selectedCandidatePairId": "new"},
        {"id": "local-new", "type": "local-candidate"} | local,
        {"id": "local-old", "type": "local-candidate", "candidateType": "srflx", "protocol": "udp"},
    ]
    [figures] = summaries(page, (stats, []))
    path = figures["publish"]
    assert ((path["candidate"], path["protocol"]), path["rtt_ms"]) == (shown, 20)
    assert path["available_bps"] == 1_234_568
    assert figures["subscribe"] is None


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([], ""),
        ([["uplink_loss", 8.04]], "Your network loses 8 % of the packets you send"),
        ([["uplink_repair", 12.4]], "Your network loses 12 % of the packets you send. They are sent again"),
        ([["downlink_loss", 5.5]], "Your network loses 5.5 % of what is sent to you"),
        ([["round_trip", 612], ["jitter", 50]], "takes 0.6 s to the studio and back"),
        ([["jitter", 50]], "unevenly"),
        ([["silent", 0]], "Nothing of your microphone or camera reaches the studio"),
    ],
)
def test_what_is_wrong_with_ones_own_line_is_said_in_words(page: Page, findings: list[list[Any]], words: str) -> None:
    told = [{"trouble": trouble, "value": value} for trouble, value in findings]
    said = run(page, "ui/quality.js", "return m.troubleWords(argument)", told)
    assert words in said
    assert bool(said) is bool(findings)


# --- layers


@pytest.mark.parametrize(
    ("height", "simulcast", "codec", "layers"),
    [
        (360, True, "VP8", [["l", 2, 200_000], ["h", 1, 2_500_000]]),
        (720, True, "VP8", [["l", 4, 200_000], ["m", 2, 714_286], ["h", 1, 2_500_000]]),
        (1080, True, "VP8", [["l", 6, 200_000], ["m", 3, 714_286], ["h", 1.5, 2_500_000]]),
        (240, True, "VP8", [[None, 1, 2_500_000]]),
        (720, False, "VP8", [[None, 1, 2_500_000]]),
        (1080, False, "VP8", [[None, 1.5, 2_500_000]]),
        (360, True, "H264", [["l", 2, 200_000], ["h", 1, 2_500_000]]),
    ],
)
def test_a_camera_is_sent_in_sizes_that_fit_its_height(
    page: Page, height: int, simulcast: bool, codec: str, layers: list[list[Any]]
) -> None:
    encodings = layers_of(page, height, simulcast=simulcast, videoCodecs=[codec, "VP8"])
    assert [[e.get("rid"), e["scaleResolutionDownBy"], e["maxBitrate"]] for e in encodings] == layers


@pytest.mark.parametrize(
    ("codec", "temporal_layers", "alone", "several"),
    [
        ("VP8", False, "L1T3", "L1T3"),
        ("VP9", False, None, "L1T1"),
        ("AV1", True, "L1T3", "L1T3"),
        ("H264", True, None, None),
    ],
)
def test_temporal_layers_are_asked_for_where_they_cost_nothing_or_the_operator_wants_them(
    page: Page, codec: str, temporal_layers: bool, alone: str | None, several: str | None
) -> None:
    def modes(height: int) -> set[str | None]:
        found = layers_of(page, height, simulcast=True, videoCodecs=[codec], temporalLayers=temporal_layers)
        return {encoding.get("scalabilityMode") for encoding in found}

    assert (modes(240), modes(720)) == ({alone}, {several})


def layers_of(page: Page, height: int, **settings: object) -> list[dict[str, Any]]:
    body = """const track = { getSettings: () => ({ height: argument.height }) };
        return m.layersOf(track, argument);"""
    found: list[dict[str, Any]] = run(page, "layers.js", body, {"height": height, "maxVideoBps": 2_500_000, **settings})
    return found


def test_only_changes_of_what_is_shown_are_told_and_what_was_not_sent_is_told_again(page: Page) -> None:
    body = """const told = []; let open = true;
        const shown = new m.Shown((message) => open && told.push([message.track_id, message.height]) > 0);
        shown.show(new Map([['a', 351], ['b', 0]]));
        shown.show(new Map([['a', 342], ['b', 0]]));
        open = false; shown.show(new Map([['a', 100], ['b', 0]]));
        open = true; shown.show(new Map([['a', 100], ['b', 0]]));
        shown.show(new Map([['b', 0]])); shown.show(new Map([['a', 100], ['b', 0]]));
        shown.forget(); shown.show(new Map([['b', 0]]));
        return told;"""
    told = run(page, "shown.js", body)
    assert told == [["a", 360], ["b", 0], ["a", 120], ["a", 120], ["b", 0]]


# --- clock and numbers


def test_the_exchange_with_the_smallest_round_trip_sets_the_clock(page: Page) -> None:
    body = """const clock = new m.SessionClock(), seen = [clock.at(0), clock.boundMs];
        clock.guess(1000, 100); seen.push(clock.at(200), clock.boundMs);
        clock.add(1000, 5000, 1100); clock.add(2000, 5951, 2004); clock.add(3000, 7000, 3900);
        return [...seen, clock.at(2004), clock.boundMs, clock.rttMs]"""
    assert run(page, "clock.js", body) == [None, float("inf"), 1100, float("inf"), 5953, 12, 4]


def test_old_exchanges_are_forgotten_and_impossible_ones_ignored(page: Page) -> None:
    body = """const clock = new m.SessionClock(); clock.add(0, 100, 1);
        clock.add(10, 100, 5); for (let i = 0; i < 16; i++) clock.add(1000, 2000, 1100); return clock.rttMs"""
    assert run(page, "clock.js", body) == 100


def test_the_clock_is_settled_after_some_exchanges(page: Page) -> None:
    body = """const clock = new m.SessionClock(); let settled = false;
        void clock.settled().then(() => (settled = true));
        const seen = []; for (let i = 0; i < 4; i++) { clock.add(i, i, i); await null; await null; seen.push(settled); }
        return seen"""
    assert run(page, "clock.js", body) == [False, False, False, True]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("clockTime(0)", "0:00"),
        ("clockTime(59999)", "0:59"),
        ("clockTime(3_661_000)", "1:01:01"),
        ("clockTime(-5)", "0:00"),
        ("preciseTime(61_004.6)", "1:01.005"),
        ("preciseTime(999.6)", "0:01.000"),
        ("lengthTime(3960)", "0:04.0"),
        ("lengthTime(61_240)", "1:01.2"),
        ("byteSize(999)", "999 B"),
        ("byteSize(1500)", "1.5 kB"),
        ("byteSize(999_700)", "1.0 MB"),
        ("byteSize(52_428_800)", "52 MB"),
        ("waitTime(3)", "5 s"),
        ("waitTime(61)", "2 min"),
        ("waitTime(4000)", "1 h 7 min"),
        ("initials(' ada  king lovelace ')", "AL"),
        ("initials('')", "?"),
        ("initials('😀')", "😀"),
    ],
)
def test_numbers_are_shown_as_people_read_them(page: Page, call: str, text: str) -> None:
    assert run(page, "ui/format.js", f"return m.{call}") == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("12.5", 12_500),
        (" 1:02 ", 62_000),
        ("1:02:03.25", 3_723_250),
        ("90:00", 5_400_000),
        *((text, None) for text in ("", "1:", ":5", "-1", "1:2:3:4", "1.2345", "ten", "1e3", "0x1")),
    ],
)
def test_times_are_read_as_people_write_them(page: Page, text: str, ms: int | None) -> None:
    assert run(page, "ui/format.js", f"return m.parseTime({json.dumps(text)})") == ms


def test_levels_are_decibels_above_the_floor(page: Page) -> None:
    levels = run(page, "meter.js", "return [0, 1e-9, 0.001, 0.0316227766, 1, 4].map(m.toMeter)")
    assert levels == pytest.approx([0, 0, 0, 0.5, 1, 1], abs=1e-6)


# --- who is in the room


def person(id: str, *kinds: str) -> Json:
    tracks = [{"track_id": f"{id}-{kind}", "kind": kind, "codec": "", "muted": False} for kind in kinds]
    return {"participant_id": id, "display_name": id, "connected": True, "tracks": tracks, "capture": None}


def roster(page: Page, *messages: Json) -> Any:
    """What each message of a room with `me` and `bob` made known, and who is in it then."""
    body = """const roster = new m.Roster('me'); roster.replace(argument.everybody);
        return [argument.messages.map((message) => roster.apply(message)), [...roster.all.values()]]"""
    everybody = [person("me", "camera"), person("bob", "camera", "microphone")]
    return run(page, "roster.js", body, {"everybody": everybody, "messages": messages})


def test_joins_leaves_and_updates_change_who_is_there(page: Page) -> None:
    away = person("bob") | {"connected": False}
    told, everybody = roster(
        page,
        {"type": "participant_joined", "participant": person("cid")},
        {"type": "participant_updated", "participant": away},
        {"type": "participant_left", "participant_id": "bob", "reason": "lost"},
    )
    left = {"participant": away, "reason": "lost"}
    assert told == [{"changed": True, "joined": person("cid")}, {"changed": True}, {"changed": True, "left": left}]
    assert [view["participant_id"] for view in everybody] == ["me", "cid"]


def test_tracks_come_are_muted_and_go(page: Page) -> None:
    screen = {"track_id": "t", "kind": "camera", "codec": "vp8", "muted": False}
    _, (_, bob) = roster(
        page,
        {"type": "track_published", "participant_id": "bob", "track": screen},
        {"type": "track_muted", "participant_id": "bob", "track_id": "t", "muted": True},
        {"type": "track_unpublished", "participant_id": "bob", "track_id": "bob-camera"},
    )
    assert bob["tracks"] == [person("bob", "microphone")["tracks"][0], screen | {"muted": True}]


def test_a_new_own_track_takes_the_place_of_the_old_one_of_its_kind(page: Page) -> None:
    again = {"track_id": "t", "kind": "camera", "codec": "vp8", "muted": False}
    _, (me, _) = roster(page, {"type": "track_published", "participant_id": "me", "track": again})
    assert me["tracks"] == [again]


def test_messages_about_strangers_and_about_ones_own_leaving_change_nothing(page: Page) -> None:
    told, everybody = roster(
        page,
        {"type": "participant_left", "participant_id": "me", "reason": "replaced"},
        {"type": "participant_left", "participant_id": "eve", "reason": "left"},
        {"type": "track_muted", "participant_id": "eve", "track_id": "t", "muted": True},
        {"type": "heartbeat"},
    )
    assert told == [{"changed": False}] * 4
    assert len(everybody) == 2


# --- devices

FAKE_DEVICES = """const asked = []; const made = [];
    Object.defineProperty(navigator, 'mediaDevices', { value: {
      getUserMedia: () => new Promise((resolve) => asked.push(() => {
        const track = { stopped: false, stop() { this.stopped = true; } }; made.push(track);
        resolve({ getTracks: () => [track] }); })) } });
    const devices = new m.Devices({ camera: '', microphone: '', headphones: false, height: 720 });"""


def test_of_requests_that_overlap_the_last_counts_and_the_others_are_stopped(page: Page) -> None:
    body = """const both = [devices.open(['camera']), devices.open(['camera'])];
        asked[1](); await both[1]; asked[0](); await both[0];
        return [devices.tracks.get('camera') === made[0], made.map((track) => track.stopped)]"""
    assert run(page, "devices.js", FAKE_DEVICES + body) == [True, [False, True]]


def test_leaving_while_the_browser_still_asks_leaves_nothing_open(page: Page) -> None:
    body = """const opening = devices.open(['microphone', 'camera']); devices.close(); asked[0](); await opening;
        return [devices.tracks.size, made.map((track) => track.stopped), asked.length]"""
    assert run(page, "devices.js", FAKE_DEVICES + body) == [0, [True], 1]


# --- the WebSocket

FAKE_SOCKETS = """window.sockets = [];
    window.WebSocket = class { constructor() { sockets.push(this); } close() {} send() {} };
    const line = new m.Signaling('ws://localhost:9/', 'token', { reset() {}, guess() {}, add() {} });
    let closed = null; line.on('closed', (reason) => (closed = reason)); line.connect();"""


@pytest.mark.parametrize(
    ("code", "reason", "state"),
    [
        (1000, None, "waiting"),
        (1008, "misunderstood", "closed"),
        (1009, "misunderstood", "closed"),
        (4409, "replaced", "closed"),
        (1001, None, "waiting"),
        (1006, None, "waiting"),
    ],
)
def test_only_some_ends_of_the_connection_are_final(page: Page, code: int, reason: str | None, state: str) -> None:
    body = "sockets[0].onclose({ code: argument, reason: '' }); return [closed, line.state]"
    assert run(page, "protocol.js", FAKE_SOCKETS + body, code) == [reason, state]


def test_a_line_closed_because_the_participant_left_is_not_opened_again(page: Page) -> None:
    body = "sockets[0].onclose({ code: 1000, reason: 'left' }); return [closed, line.state]"
    assert run(page, "protocol.js", FAKE_SOCKETS + body) == ["left", "closed"]


# --- the log of a capture


def test_a_torn_log_counts_up_to_its_tear(page: Page) -> None:
    records = [
        {"t": "meta", "meta": META},
        {"t": "append", "index": 0, "size_bytes": 10, "end_ms": 5},
        {"t": "closed", "index": 0},
        {"t": "opened", "segment_id": "seg"},
        {"t": "confirmed", "index": 0},
    ]
    whole = "".join(json.dumps(record) + "\n" for record in records)
    torn = whole + '{"t": "ended", "chu'
    state = run(page, "spool-log.js", "return m.replay(argument)", torn)
    chunk = {"index": 0, "size_bytes": 10, "end_ms": 5, "closed": True, "confirmed": True}
    assert state == {"meta": META, "segment_id": "seg", "chunks": [chunk], "ended": None}


# --- the spool on disk

FILL = """const spool = new m.Spool(); await spool.create(argument.meta);
    for (const [size, end] of argument.blobs) {
      await spool.append('c1', new Uint8Array(size).fill(end % 251).buffer, end);
    }"""


def chunks(page: Page, blobs: list[tuple[int, int]]) -> list[Json]:
    """The chunk files of a capture of these (bytes, end ms)."""
    body = (
        FILL
        + """await spool.end('c1');
        const log = await import('/static/js/spool-log.js');
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(log.SPOOL_FOLDER);
        const file = await (await (await root.getDirectoryHandle('c1')).getFileHandle(log.LOG_NAME)).getFile();
        return log.replay(await file.text()).chunks"""
    )
    found: list[Json] = run(page, "spool.js", body, {"meta": META, "blobs": blobs})
    return found


def test_a_chunk_is_never_larger_than_asked_and_what_does_not_fit_is_split(page: Page) -> None:
    found = chunks(page, [(400, 1000), (1700, 2000), (100, 3000)])
    assert [chunk["size_bytes"] for chunk in found] == [1000, 1000, 200]
    assert all(chunk["closed"] for chunk in found)
    assert [chunk["end_ms"] for chunk in found] == [1000, 1000, 3000], "a split timeslice counts with its last piece"


def test_a_chunk_is_closed_before_its_time_is_over(page: Page) -> None:
    found = chunks(page, [(10, second * 1000) for second in range(1, 22)])
    ends = [0, *(chunk["end_ms"] for chunk in found)]
    assert all(after - before <= META["chunk_ms"] for before, after in pairwise(ends))
    assert sum(chunk["size_bytes"] for chunk in found) == 210


def test_what_was_appended_survives_a_page_that_is_gone(context: BrowserContext, page: Page) -> None:
    run(page, "spool.js", FILL, {"meta": META, "blobs": [(1500, 1000), (200, 2000)]})
    page.close(run_before_unload=False)
    body = """const spool = new m.Spool(), ids = await spool.list(), state = await spool.recover('c1');
        const bytes = [];
        for (const { index } of state.chunks) bytes.push(...(await (await spool.chunk('c1', index)).bytes()));
        return [ids, state, bytes]"""
    ids, state, read = run(_open(context), "spool.js", body)
    assert ids == ["c1"]
    assert state["meta"] == META
    assert state["ended"] == 2
    assert all(chunk["closed"] for chunk in state["chunks"])
    assert read == [1000 % 251] * 1500 + [2000 % 251] * 200


def test_a_confirmed_chunk_is_deleted_and_a_finished_capture_leaves_nothing(page: Page) -> None:
    body = (
        FILL
        + """await spool.end('c1'); await spool.note('c1', { t: 'confirmed', index: 0 });
        const gone = await spool.chunk('c1', 0).then(() => false, () => true);
        await spool.remove('c1'); return [gone, await spool.list(), await spool.exists('c1')]"""
    )
    assert run(page, "spool.js", body, {"meta": META, "blobs": [(1500, 1000)]}) == [True, [], False]


DEAD_WORKERS = """const Native = window.Worker; let dead = argument.dead; window.Worker = class extends Native {
      constructor(url, options) { super(dead-- > 0 ? '/static/js/missing.js' : url, options); } };"""
"""The first `dead` workers of the page cannot load their script."""


def test_a_worker_that_did_not_load_is_replaced(page: Page) -> None:
    body = (
        DEAD_WORKERS
        + """const spool = new m.Spool(); spool.preload();
        const first = await spool.create(argument.meta).then(() => 'made', (error) => error.message);
        return [first, (await spool.create(argument.meta)).length]"""
    )
    first, noted = run(page, "spool.js", body, {"meta": META, "dead": 1})
    assert "stopped" in first
    assert noted == 1


def test_a_new_worker_takes_up_a_capture_but_no_more_of_its_data(page: Page) -> None:
    body = """const spool = new m.Spool(); let worker; const Native = window.Worker;
        window.Worker = class extends Native { constructor(...args) { super(...args); worker = this; } };
        await spool.create(argument); await spool.append('c1', new ArrayBuffer(10), 1000);
        worker.onerror(new ErrorEvent('error', { message: 'out of memory' }));
        const more = await spool.append('c1', new ArrayBuffer(10), 2000).then(() => 'written', () => 'refused');
        return [more, (await spool.end('c1')).map((record) => record.t)]"""
    assert run(page, "spool.js", body, META) == ["refused", ["closed", "ended"]]


# --- uploads

UPLOAD = """const { Spool } = await import('/static/js/spool.js'); const spool = new Spool();
    const uploads = new m.Uploads(spool); const upload = await uploads.begin(argument.meta);
    for (const [size, end] of argument.blobs) {
      upload.changed(await spool.append('c1', new Uint8Array(size).buffer, end));
    }
    upload.changed(await spool.end('c1'));
    while (!['done', 'failed'].includes(upload.state)) await new Promise((next) => upload.on('progress', next));
    return { state: upload.state, view: uploads.view(argument.meta.recording_id), safe: uploads.safe,
        problem: upload.problem, left: await spool.list() }"""
CAPTURES = f"/api/v1/sessions/{META['session_id']}/recordings/{META['recording_id']}/captures"


class Server:
    """Answers of the REST interface and the object store; `fault` may answer instead."""

    def __init__(self, context: BrowserContext, fault: Callable[[str, int], Route | int | Json | None]) -> None:
        self.asked: list[str] = []
        self.stored: dict[str, int] = {}
        self._fault = fault
        context.route("http://localhost:9/api/**", self._answer)
        context.route("http://localhost:9/objects/**", self._answer)

    def _answer(self, route: Route) -> None:
        request = route.request
        step = f"{request.method} {urlsplit(request.url).path.removeprefix(CAPTURES)}"
        self.asked.append(step)
        fault = self._fault(step, self.asked.count(step))
        if isinstance(fault, dict):
            route.fulfill(status=fault["status"], json=fault, content_type="application/problem+json")
        elif request.method == "PUT":
            self.stored[step] = len(request.post_data_buffer or b"")
            route.fulfill(status=200)
        elif step == "POST ":
            assert request.headers["authorization"] == "Bearer secret"
            assert request.post_data_json["capture_id"] == META["capture_id"]
            route.fulfill(status=201, json={"segment_id": "seg_1"})
        elif step.endswith(("confirm", "finish")):
            route.fulfill(json={"verified_bytes": 0, "safe_ms": 0})
        else:
            index = step.rsplit("/", 1)[1]
            url = f"http://localhost:9/objects/{index}"
            route.fulfill(json={"url": url, "method": "PUT", "headers": {}, "expires_in_s": 60})


def upload(page: Page, blobs: list[tuple[int, int]]) -> Json:
    done: Json = run(page, "uploads.js", UPLOAD, {"meta": META, "blobs": blobs})
    return done


def test_every_chunk_is_announced_sent_confirmed_and_then_the_capture_finished(
    context: BrowserContext, page: Page
) -> None:
    server = Server(context, lambda step, times: None)
    done = upload(page, [(1500, 1000)])
    assert server.asked == [
        "POST ",
        *("POST /seg_1/chunks/0", "PUT /objects/0", "POST /seg_1/chunks/0/confirm"),
        *("POST /seg_1/chunks/1", "PUT /objects/1", "POST /seg_1/chunks/1/confirm"),
        "POST /seg_1/finish",
    ]
    assert list(server.stored.values()) == [1000, 500]
    view = {"captured_bytes": 1500, "verified_bytes": 1500, "captured_ms": 1000, "safe_ms": 1000, "state": "done"}
    assert done == {"state": "done", "view": view, "safe": True, "problem": "", "left": []}


@pytest.mark.parametrize(
    "step",
    ["POST ", "POST /seg_1/chunks/0", "PUT /objects/0", "POST /seg_1/chunks/0/confirm", "POST /seg_1/finish"],
)
def test_a_failure_that_passes_is_tried_again(context: BrowserContext, page: Page, step: str) -> None:
    unavailable = {"status": 503, "id": "store_unavailable", "detail": "later"}
    server = Server(context, lambda asked, times: unavailable if asked == step and times == 1 else None)
    assert upload(page, [(600, 1000)])["state"] == "done"
    assert server.asked.count(step) == 2


@pytest.mark.parametrize("id", ["chunk_mismatch", "chunk_missing"])
def test_a_chunk_that_did_not_arrive_is_sent_again(context: BrowserContext, page: Page, id: str) -> None:
    status = {"chunk_mismatch": 422, "chunk_missing": 404}[id]

    def fault(step: str, times: int) -> Json | None:
        return {"status": status, "id": id, "detail": ""} if step.endswith("confirm") and times == 1 else None

    server = Server(context, fault)
    assert upload(page, [(600, 1000)])["state"] == "done"
    assert server.asked.count("PUT /objects/0") == 2


def test_what_the_server_refuses_for_good_stays_on_the_disk(context: BrowserContext, page: Page) -> None:
    refused = {"status": 409, "id": "capture_closed", "detail": "The recording takes no new local copy"}
    server = Server(context, lambda step, times: refused)
    done = upload(page, [(600, 1000)])
    assert done["state"] == "failed"
    assert done["safe"] is False
    assert done["problem"] == refused["detail"]
    assert done["left"] == ["c1"]
    assert server.asked == ["POST "]


def test_finishing_twice_is_as_good_as_once(context: BrowserContext, page: Page) -> None:
    finished = {"status": 409, "id": "capture_finished", "detail": ""}
    Server(context, lambda step, times: finished if step.endswith("finish") else None)
    assert upload(page, [(600, 1000)])["state"] == "done"


def test_a_capture_without_a_byte_asks_the_server_nothing(context: BrowserContext, page: Page) -> None:
    server = Server(context, lambda step, times: None)
    assert upload(page, []) | {"view": None} == {
        "state": "done",
        "view": None,
        "safe": True,
        "problem": "",
        "left": [],
    }
    assert server.asked in ([], ["POST ", "POST /seg_1/finish"])


def test_another_tab_waits_and_takes_over_when_the_first_is_gone(context: BrowserContext, page: Page) -> None:
    unavailable = {"status": 503, "id": "store_unavailable", "detail": "later"}
    first_is_open = [True]
    server = Server(context, lambda step, times: unavailable if first_is_open[0] else None)
    begin = UPLOAD.split("while (")[0] + "window.kept = [uploads, upload]"
    run(page, "uploads.js", begin, {"meta": META, "blobs": [(1500, 1000)]})
    second = _open(context)
    recover = """const { Spool } = await import('/static/js/spool.js'); window.uploads = new m.Uploads(new Spool());
        await window.uploads.recover(); return window.uploads.all.length"""
    assert run(second, "uploads.js", recover) == 0, "the first tab has it"
    first_is_open[0] = False
    page.close(run_before_unload=False)
    second.wait_for_function("() => window.uploads.all[0]?.state === 'done'")
    assert server.asked[-1] == "POST /seg_1/finish"
    assert list(server.stored.values()) == [1000, 500]


@pytest.mark.parametrize("dead", [2, 100])
def test_a_recovery_that_fails_is_tried_again_and_then_shown(context: BrowserContext, page: Page, dead: int) -> None:
    Server(context, lambda step, times: None)
    run(page, "spool.js", FILL, {"meta": META, "blobs": [(600, 1000)]})
    page.close(run_before_unload=False)
    second = _open(context)
    second.clock.install()
    body = (
        DEAD_WORKERS
        + """const { Spool } = await import('/static/js/spool.js'); window.uploads = new m.Uploads(new Spool());
        await window.uploads.recover()"""
    )
    run(second, "uploads.js", body, {"dead": dead})
    settled = "() => uploads.unreadable.size > 0 || uploads.all[0]?.state === 'done'"
    while not second.evaluate(settled):
        second.clock.run_for(1000)
    assert second.evaluate("() => uploads.unreadable.has('c1')") is (dead == 100)
