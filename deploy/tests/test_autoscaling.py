"""The algorithm that `bin/just autoscale` runs is Kubernetes' own."""

import sys
import unittest

from manifests import OVERLAYS, ROOT

sys.path.insert(0, str(ROOT / "dev/autoscale"))
import hpa  # noqa: E402
import keda  # noqa: E402
import settings  # noqa: E402


def rules(*policies, window=0, select="Max"):
    return hpa.Rules(window, tuple(hpa.Policy(*policy) for policy in policies), select)


ANY = rules(("Percent", 1000, 15), ("Pods", 1000, 15))


def spec(least=1, most=10, up=ANY, down=ANY):
    return hpa.Spec(least, most, 10, up, down)


class Autoscaler:
    """Decisions in turn, every 15 seconds."""

    def __init__(self, spec, replicas):
        self.spec, self.replicas, self.history, self.now = spec, replicas, hpa.History(), 0

    def see(self, *totals):
        found = []
        for total in totals:
            self.replicas, self.history = hpa.decide(self.replicas, total, self.spec, self.history, self.now)
            self.now += hpa.SYNC_SECONDS
            found.append(self.replicas)
        return found


class Decisions(unittest.TestCase):
    def test_a_metric_within_a_tenth_changes_nothing(self):
        for total, expected in [(89, 9), (90, 10), (110, 10), (111, 12)]:
            self.assertEqual(hpa.wish(10, total, 10), expected, total)

    def test_a_part_of_a_worker_is_a_worker(self):
        self.assertEqual([hpa.wish(1, total, 10) for total in (0, 1, 20, 21)], [0, 1, 2, 3])

    def test_least_and_most(self):
        self.assertEqual(Autoscaler(spec(least=2, most=4), 3).see(1000, 0), [4, 2])
        self.assertEqual(Autoscaler(spec(least=2, most=4), 7).see(70), [4], "above the most, whatever the metric")
        self.assertEqual(Autoscaler(spec(least=2, most=4), 1).see(10), [2])

    def test_without_the_metric_nothing_changes(self):
        self.assertEqual(Autoscaler(spec(), 5).see(None, None), [5, 5])

    def test_none_stay_none(self):
        self.assertEqual(Autoscaler(spec(), 0).see(1000), [0])

    def test_down_to_the_highest_wish_of_the_window(self):
        seen = Autoscaler(spec(down=rules(("Pods", 1000, 15), window=60)), 8).see(80, 50, 30, 10, 10, 10, 10)
        # The wish of 8 is 60 s old, and no longer in the window, at the fifth.
        self.assertEqual(seen, [8, 8, 8, 8, 5, 3, 1])

    def test_up_to_the_lowest_wish_of_the_window(self):
        seen = Autoscaler(spec(up=rules(("Pods", 1000, 15), window=30)), 1).see(10, 50, 80, 80)
        self.assertEqual(seen, [1, 1, 5, 8])

    def test_at_first_the_replicas_that_are_there_count_as_a_wish(self):
        self.assertEqual(Autoscaler(spec(down=rules(("Pods", 1000, 15), window=30)), 5).see(10, 10, 10), [5, 5, 1])

    def test_policies_limit_the_change_of_a_period(self):
        self.assertEqual(Autoscaler(spec(up=rules(("Pods", 2, 30))), 1).see(100, 100, 100, 100), [3, 3, 5, 5])
        self.assertEqual(Autoscaler(spec(up=rules(("Percent", 50, 15))), 3).see(100, 100), [5, 8], "rounded up")
        self.assertEqual(Autoscaler(spec(down=rules(("Pods", 1, 45))), 5).see(10, 10, 10, 10), [4, 4, 4, 3])
        self.assertEqual(Autoscaler(spec(down=rules(("Percent", 50, 15))), 7).see(10, 10), [3, 1], "rounded down")

    def test_changes_both_ways_count(self):
        scaler = Autoscaler(spec(up=rules(("Pods", 1, 60)), down=rules(("Pods", 1, 60))), 5)
        # Having lost one in this minute it may gain two: 4 + 1 + 1.
        self.assertEqual(scaler.see(10, 100), [4, 6])

    def test_which_policy_counts(self):
        both = ("Percent", 100, 15), ("Pods", 4, 15)
        for select, expected in [("Max", 7), ("Min", 6), ("Disabled", 3)]:
            self.assertEqual(Autoscaler(spec(up=rules(*both, select=select)), 3).see(100), [expected], select)
        both = ("Percent", 50, 15), ("Pods", 1, 15)
        for select, expected in [("Max", 4), ("Min", 7), ("Disabled", 8)]:
            self.assertEqual(Autoscaler(spec(down=rules(*both, select=select)), 8).see(10), [expected], select)


class Activation(unittest.TestCase):
    RULE = keda.Activation(polling=5, cooldown=300, threshold=2)

    def test_more_than_the_threshold_starts_one(self):
        self.assertEqual(keda.activate(0, 2, self.RULE, None, 0), (0, None))
        self.assertEqual(keda.activate(0, 3, self.RULE, None, 7), (1, 7))
        self.assertEqual(keda.activate(4, 3, self.RULE, 1, 7), (4, 7), "the rest is the autoscaler's")

    def test_all_go_when_it_has_cooled_down(self):
        self.assertEqual(keda.activate(4, 0, self.RULE, 100, 400), (4, 100))
        self.assertEqual(keda.activate(4, 0, self.RULE, 100, 401), (0, 100))

    def test_without_the_metric_nothing_changes(self):
        self.assertEqual(keda.activate(4, None, self.RULE, 100, 1000), (4, 100))


class Manifests(unittest.TestCase):
    def test_the_simulation_reads_every_overlay_that_scales(self):
        found = {overlay: settings.read(overlay) for overlay in OVERLAYS if overlay not in ("dev", "prod")}
        self.assertEqual(sorted(found), ["keda", "keda-prometheus", "prometheus-adapter"])
        self.assertEqual({name for name, of in found.items() if of.activation}, {"keda", "keda-prometheus"})
        self.assertEqual({name for name, of in found.items() if of.from_nats}, {"keda"})

    def test_a_backlog_goes_to_the_most_in_two_steps_and_back_one_by_one(self):
        """What docs/autoscaling.md says of the shipped numbers, of 5 workers at most."""
        given = settings.read("prometheus-adapter").spec
        scaler = Autoscaler(given, given.least)
        self.assertEqual(scaler.see(*[1000] * 4), [3, 3, 5, 5])
        steps = scaler.see(*[0] * 80)
        at = [15 * index for index, (a, b) in enumerate(zip([5] + steps, steps)) if b != a]
        # The last wish for five was 15 s before.
        self.assertEqual((steps[-1], at), (1, [285, 465, 645, 825]))


if __name__ == "__main__":
    unittest.main()
