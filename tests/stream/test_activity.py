from __future__ import annotations

import time

from edgeunet.stream.activity import Activity


def test_a_stage_that_does_not_come_back_is_named() -> None:
    activity = Activity(hang_s=0.05)
    with activity.at_work("the network"):
        assert activity.hangs() == []
        with activity.at_work("the sink out.mp4"):
            time.sleep(0.08)
            hangs = activity.hangs()
        assert [hang.stage for hang in hangs] == ["the network", "the sink out.mp4"]
        assert 0.08 <= hangs[0].busy_s < 5
        assert str(hangs[0]) == "the network hangs: it has worked on one frame for 0 s"
    assert activity.hangs() == []


def test_a_stage_whose_frames_take_long_gets_longer() -> None:
    activity = Activity(hang_s=0.01)
    with activity.at_work("the network"):
        time.sleep(0.05)
    with activity.at_work("the network"):
        time.sleep(0.05)
        # Ten times the slowest frame so far is half a second.
        assert activity.hangs() == []
