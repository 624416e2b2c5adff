"""Every command and sample of the README and of the pages for clients is run."""

import os
import re
import shlex
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

import identity
from conftest import BINARY, ROOT

README = (ROOT / "README.md").read_text()
# Without any, serve says what is missing and ends.
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
PAGES = "".join((ROOT / "docs" / page).read_text() for page in ("results.md", "clients.md", "protocol.md", "configuration.md", "aws.md", "security.md"))
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README + PAGES, flags=re.MULTILINE | re.DOTALL)
NODE = [text for language, text in BLOCKS if language == "js"]
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
# Run by whoever runs this test, and by a newcomer: the build itself, and all tests.
ELSEWHERE = ["cargo run -- serve --demo", "make test"]
# The comparison with peers: test_results.py runs it on less data and with the binary under test.
PEERS = ["cargo build --release", "benches/peers/run --scale 0.1", "benches/peers/run --scale 0.1 --apart"]


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_sample(number, demo, emulator):
    code = PYTHON[number].replace("127.0.0.1:31337", demo.url.removeprefix("grpc://"))
    code = code.replace("http://127.0.0.1:31338", emulator.endpoint)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*  # (.+)$", code, flags=re.MULTILINE):
        assert said in done.stdout


@pytest.mark.parametrize("number", range(len(NODE)))
def test_node_sample(number, demo):
    host, port = demo.url.removeprefix("grpc://").split(":")
    code = NODE[number].replace('"127.0.0.1", port: 31337', f'"{host}", port: {port}')
    folder = ROOT / "tests" / "clients" / "npm"
    done = subprocess.run(["node", "--input-type=module", "-e", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"console.log\(.*\); // (.+)$", code, flags=re.MULTILINE):
        assert said in done.stdout


def test_the_first_commands_are_the_ones_ci_runs():
    assert [command for command in COMMANDS if command in ELSEWHERE] == ELSEWHERE
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "cargo run -- serve --demo" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ELSEWHERE + PEERS])
def test_command(command, demo, start, tmp_path):
    shop = tmp_path / "DIR" / "shop"
    shop.mkdir(parents=True)
    parquet.write_table(pa.table({"price": [1.5]}), shop / "prices.parquet")
    program, *arguments = shlex.split(command)
    assert program == "athena-flight"
    arguments = [re.sub(r"^DIR(?=/|$)", str(tmp_path / "DIR"), argument) for argument in arguments]
    arguments = [argument.replace("127.0.0.1:31337", demo.url.removeprefix("grpc://")) for argument in arguments]
    if "--users-file" in arguments:
        identity.user(tmp_path / "DIR" / "users", "ann", "password of ann")
    if arguments[0] in ("serve", "emulator"):
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "config").write_text("[profile analytics]\nregion = eu-central-1\n")
        (tmp_path / ".aws" / "credentials").write_text("[analytics]\naws_access_key_id = a\naws_secret_access_key = b\n")
        server = start(*arguments, "--listen", "127.0.0.1:0", home=tmp_path, **KEYS)
        assert server.stop() == 0
    else:
        env = os.environ | {"XDG_DATA_HOME": str(tmp_path)}
        done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, env=env, timeout=120, input="password\n")
        assert done.returncode == 0 and (done.stdout or arguments[0] == "user"), done.stderr


def test_the_behaviour_document_of_the_page_is_one(start, tmp_path):
    page = (ROOT / "docs" / "emulator.md").read_text()
    document = tmp_path / "behaviour.json"
    document.write_text(re.search(r"^```json\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL).group(1))
    server = start("emulator", "--data", tmp_path / "d", "--behaviour", document, "--listen", "127.0.0.1:0", home=tmp_path)
    assert server.stop() == 0


def test_every_flag_of_the_emulator_is_documented():
    text = subprocess.run([str(BINARY), "emulator", "--help"], capture_output=True, text=True).stdout
    flags = set(re.findall(r"--[a-z0-9-]+", text)) - {"--help", "--version"}
    documented = README + (ROOT / "docs" / "emulator.md").read_text()
    assert {flag for flag in flags if flag not in documented} <= {"--demo-scale"}


def test_every_flag_of_serve_is_documented():
    text = subprocess.run([str(BINARY), "serve", "--help"], capture_output=True, text=True).stdout
    flags = set(re.findall(r"^ +--([a-z0-9-]+)", text, flags=re.MULTILINE))
    documented = (ROOT / "docs" / "configuration.md").read_text()
    assert len(flags) > 50 and {flag for flag in flags if f"`{flag}`" not in documented and f"`--{flag}`" not in documented} <= {"help"}


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_example_configurations_serve(example, start, emulator, tmp_path):
    """Each as it is, but for where its files are, where it listens and where AWS answers."""
    authority = identity.Authority(tmp_path)
    authority.server()
    (tmp_path / "clients-ca.pem").write_bytes(authority.path.read_bytes())
    (tmp_path / "signing.key").write_text("k" * 44 + "\n")
    identity.user(tmp_path / "users", "ann", "password of ann", "analysts")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[analytics]\naws_access_key_id = a\naws_secret_access_key = b\n")
    config = tmp_path / example.name
    config.write_text(example.read_text().replace("/etc/athena-flight/", f"{tmp_path}/"))
    server = start("serve", "--config", config, "--endpoint-url", emulator.endpoint, "--listen", "127.0.0.1:0",
                   home=tmp_path, **KEYS)
    assert server.url.startswith("grpc+tls" if "tls-cert" in config.read_text() else "grpc:")
    assert server.stop() == 0
