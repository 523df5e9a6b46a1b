"""The makers of test material leave the process as it was."""

import os

from tests.support.payloads import encode


def test_encoding_av1_leaves_no_thread_of_the_tests_in_real_time() -> None:
    assert len(encode("av1", 3)) == 3
    policies = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
    assert policies == {os.SCHED_OTHER}
