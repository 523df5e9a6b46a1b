"""What the profiler makes of samples."""

from bench.profile import by_function, table

STACKS = """\
main (stemroom/cli.py:1);run_forever (asyncio/a.py:6);_readable (sfu/udp.py:70) 3
main (stemroom/cli.py:1);run_forever (asyncio/a.py:6);_readable (sfu/udp.py:80);copy (sfu/forwarding.py:9) 5
main (stemroom/cli.py:1);run_forever (asyncio/a.py:6);EpollSelector.select (selectors.py:4) 90
_bootstrap (threading.py:9);_run (recorder/writer.py:12) 100
main (stemroom/cli.py:1);run_forever (asyncio/a.py:6);copy (sfu/forwarding.py:2);copy (sfu/forwarding.py:3) 2
"""


def test_samples_count_for_the_function_whatever_its_line_and_for_its_callers_once() -> None:
    own, under = by_function(STACKS)
    assert own == {"_readable  sfu/udp.py": 3, "copy  sfu/forwarding.py": 7}
    assert under["_readable  sfu/udp.py"] == 8
    assert under["copy  sfu/forwarding.py"] == 7


def test_other_threads_and_sleep_are_left_out_of_the_shares() -> None:
    lines = table(*by_function(STACKS)).splitlines()
    assert lines[1:] == [" 70.0 %       70.0 %  copy  sfu/forwarding.py", " 30.0 %       80.0 %  _readable  sfu/udp.py"]


def test_nothing_sampled_is_an_empty_table() -> None:
    assert len(table(*by_function("")).splitlines()) == 1
