"""The in-memory Ogg file from which Opus streams are made is one that demuxers take."""

import io

import av
import pytest

from recorder.opus_head import PRE_SKIP_TICKS, template


@pytest.mark.parametrize("channels", [1, 2])
def test_a_demuxer_finds_channels_and_pre_skip(channels: int) -> None:
    with av.open(io.BytesIO(template(channels)), format="ogg") as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "opus"
        assert stream.codec_context.channels == channels
        head = stream.codec_context.extradata
        assert head is not None
        assert head[:10] == b"OpusHead\x01" + bytes((channels,))
        assert int.from_bytes(head[10:12], "little") == PRE_SKIP_TICKS
        assert [len(bytes(packet)) for packet in container.demux(stream) if packet.size] == [3]


@pytest.mark.parametrize("channels", [0, 3, 255])
def test_other_channel_counts_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match="channels"):
        template(channels)
