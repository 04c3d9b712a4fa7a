"""The files of deploy/azure and deploy/aws."""

import copy
import re
import subprocess
import tempfile
import unittest

import yaml

import checks
from clouds import problems
from manifests import ROOT, default_grace, render, named, containers, environment, seconds, settings

AZURE = ROOT / "deploy/azure"
ROLES = ("setup", "producer", "worker", "projector", "gateway")


def azure(role):
    return yaml.safe_load((AZURE / f"{role}.yaml").read_text())


def model(role):
    return "Job" if role == "setup" else "ContainerApp"


def settings_problems(role, told, secret):
    """`told` and `secret` are the names that a role is given in the clear and in secret."""
    for name in [*told, *secret]:
        if name not in settings():
            yield f"{role}: nothing reads {name}"
    for name in told:
        if settings().get(name):
            yield f"{role}: {name} is a secret"
    for name in set(secret) - checks.SECRETS[role]:
        yield f"{role} need not know {name}"


class Azure(unittest.TestCase):
    def test_every_field_is_one_of_azures(self):
        for role in ROLES:
            with self.subTest(role):
                self.assertEqual(list(problems(azure(role), model(role))), [])

    def test_a_wrong_field_is_seen(self):
        for mutate, said in (
            (lambda app: app["properties"]["template"]["scale"].update(maxReplica=5), "no maxReplica"),
            (lambda app: app["properties"]["template"]["scale"].update(maxReplicas="5"), "is no int"),
            (lambda app: app["properties"]["template"]["containers"][0]["probes"][0]["httpGet"].pop("port"), "needs port"),
            (lambda app: app["properties"].update(template=[]), "is no Template"),
            (lambda app: app["properties"]["template"].update(containers={}), "is no list"),
        ):
            with self.subTest(said):
                app = copy.deepcopy(azure("worker"))
                mutate(app)
                found = list(problems(app, "ContainerApp"))
                self.assertTrue(any(said in text for text in found), found)

    def test_settings_and_secrets(self):
        for role in ROLES:
            properties = azure(role)["properties"]
            env = properties["template"]["containers"][0]["env"]
            self.assertEqual(list(settings_problems(
                role, [e["name"] for e in env if "value" in e], [e["name"] for e in env if "secretRef" in e])), [])
            known = {secret["name"] for secret in properties["configuration"]["secrets"]}
            self.assertEqual({e["secretRef"] for e in env if "secretRef" in e}, known)
            self.assertNotIn("ingress" if role != "gateway" else "no", properties["configuration"])

    def test_scale_and_grace_are_those_of_kubernetes(self):
        template = azure("worker")["properties"]["template"]
        env = {e["name"]: e.get("value") for e in template["containers"][0]["env"]}
        keda = named(render("keda"), "ScaledObject", "worker")["spec"]
        worker = containers(named(render("keda"), "Deployment", "worker"))[0]
        there = environment(render("keda"), worker)
        for name in ("WORKER_CONCURRENCY", "DRIVE_QUOTA_UNITS_PER_MINUTE"):
            self.assertEqual(env[name], there[name])
        rule = template["scale"]["rules"][0]["custom"]
        for name in ("lagThreshold", "stream", "consumer", "account"):
            self.assertEqual(rule["metadata"][name], keda["triggers"][0]["metadata"][name])
        self.assertEqual((template["scale"]["minReplicas"], template["scale"]["maxReplicas"]),
                         (keda["minReplicaCount"], keda["maxReplicaCount"]))
        self.assertGreaterEqual(template["terminationGracePeriodSeconds"], seconds(env["SHUTDOWN_GRACE"]) + checks.HAND_BACK + checks.MARGIN)
        producer = azure("producer")["properties"]["template"]
        self.assertGreaterEqual(producer["terminationGracePeriodSeconds"], default_grace("producer") + checks.HAND_BACK + checks.MARGIN)

    def test_every_placeholder_is_in_the_readme(self):
        readme = (AZURE / "README.md").read_text()
        for role in ROLES:
            # Without the comments.
            for name in re.findall(r"\$\{([A-Z_]+)\}", yaml.safe_dump(azure(role))):
                self.assertRegex(readme, rf"\b{name}=", name)


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms are kept as their names and arguments."""


Loader.add_multi_constructor("!", lambda loader, name, node: {f"!{name}": (
    loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True))})


class Aws(unittest.TestCase):
    def lint(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            lint = ROOT / ".tools/env/kubernetes_validate/bin/cfn-lint"
            return subprocess.run(["python3", lint, "--non-zero-exit-code", "informational", "-t", file.name], capture_output=True, text=True)

    def setUp(self):
        self.text = (ROOT / "deploy/aws/fleet.yaml").read_text()
        self.resources = yaml.load(self.text, Loader)["Resources"]

    def tasks(self):
        for role in ROLES:
            yield role, self.resources[f"{role.capitalize()}Task"]["Properties"]["ContainerDefinitions"][0]

    def test_cfn_lint_finds_nothing(self):
        done = self.lint(self.text)
        self.assertEqual(done.returncode, 0, done.stdout)
        broken = self.lint(self.text.replace("ReadonlyRootFilesystem", "ReadOnlyRootFilesystem"))
        self.assertIn("ReadOnlyRootFilesystem", broken.stdout)
        self.assertNotEqual(broken.returncode, 0)

    def test_settings_and_secrets(self):
        for role, container in self.tasks():
            told = [entry["Name"] for entry in container["Environment"]]
            self.assertEqual(list(settings_problems(role, told, [entry["Name"] for entry in container["Secrets"]])), [])
            for entry in container["Secrets"]:
                self.assertEqual(entry["ValueFrom"], {"!Sub": f"${{{role.capitalize()}Secret}}:{entry['Name']}::"})

    def test_roles_run_as_nobody_and_have_time_to_drain(self):
        for role, container in self.tasks():
            self.assertEqual((container["User"], container["ReadonlyRootFilesystem"]), ("65532", True))
            self.assertEqual(container["LinuxParameters"], {"Capabilities": {"Drop": ["ALL"]}})
            if role in ("worker", "producer"):
                env = {entry["Name"]: entry["Value"] for entry in container["Environment"]}
                grace = seconds(env["SHUTDOWN_GRACE"]) if "SHUTDOWN_GRACE" in env else default_grace(role)
                self.assertGreaterEqual(container["StopTimeout"], grace + checks.HAND_BACK + checks.MARGIN)
                self.assertLessEqual(container["StopTimeout"], 120, "Fargate's limit")

    def test_nothing_reaches_a_worker(self):
        for group in ("WorkerGroup", "ProducerGroup", "ProjectorGroup"):
            self.assertNotIn("SecurityGroupIngress", self.resources[group]["Properties"])
        balanced = [name for name, r in self.resources.items() if "LoadBalancers" in r.get("Properties", {})]
        self.assertEqual(balanced, ["GatewayService"])

    def test_the_numbers_follow_from_the_formula(self):
        parameters = yaml.load(self.text, Loader)["Parameters"]
        worker = {e["Name"]: e["Value"] for e in dict(self.tasks())["worker"]["Environment"]}
        slots = int(worker["WORKER_CONCURRENCY"])
        self.assertEqual(parameters["MaxWorkers"]["Default"], checks.cap(parameters["DriveQuota"]["Default"], 4, slots))
        self.assertEqual(parameters["WorkerTarget"]["Default"], slots * 3 / 4)
