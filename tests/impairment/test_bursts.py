"""A fifth of everything lost in bursts (Gilbert and Elliott): the call stays up and recovers at once."""

from sfu.interfaces import TransportName
from tests.support.impaired_call import ImpairedCall
from tests.support.modelled_peers import Publisher, Viewer
from tests.support.network_model import Conditions, GilbertElliott

CLEAN = Conditions(delay_s=0.025)
BURSTS = Conditions(delay_s=0.025, loss=GilbertElliott(worsen=1 / 32, recover=1 / 8))
"""Mean burst of 8 datagrams, a fifth of the time."""
BEGIN_S, END_S = 5.0, 25.0


def test_in_bursts_of_loss_the_call_stays_up_and_sound_is_heard_and_pictures_return_at_once() -> None:
    with ImpairedCall(seed=7) as call:
        publisher = call.publish(Publisher(call.network), CLEAN)
        viewer = call.watch(Viewer(call.network), CLEAN)
        call.run(BEGIN_S)
        for line in call.lines.values():
            line.change(BURSTS)
        call.run(END_S)
        for line in call.lines.values():
            line.change(CLEAN)
        call.run(END_S + 5)
        assert 0.1 < call.lines["publisher"].up.counters.lost / (END_S - BEGIN_S) / (30 * 4 + 50) < 0.35
        assert call.states["publisher"][-1] == (TransportName.PUBLISH, "connected")
        assert call.states["viewer"][-1] == (TransportName.SUBSCRIBE, "connected")
        (recorded,) = call.recorded["opus"]
        _, missing, _ = recorded.in_order()
        assert missing < 0.02 * publisher.audio.packets, "the recording has nearly all of the sound"
    beeps = viewer.sound_heard(publisher, BEGIN_S, END_S)
    assert sum(share >= 0.3 for share in beeps) >= 0.9 * len(beeps), "60 ms of a beep are noticed"
    after = [frame.at for frame in viewer.decoded if frame.at > call.network.start + END_S]
    assert after[0] - call.network.start - END_S < 2.0
    assert viewer.longest_freeze_s(call.network.start + END_S + 2) < 0.2
