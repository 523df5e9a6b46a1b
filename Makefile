# make run     make a virtual environment, install, start the studio
# make test    install what the tests need and run everything; pytest's summary comes last
# make help    the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A browser of your own for the tests: make test CHROMIUM=/path/to/chromium

.PHONY: help run test lint types-web browser whip-clients bench bench-janus bench-livekit profile load soak fuzz chaos bench-record bench-sync large clean

help:
	@echo 'make run    install into $(VENV) and start the studio on http://localhost:8080'
	@echo 'make test   install what the tests need, run linters and all tests'
	@echo 'make lint   ruff, mypy --strict, import directions, types of the web client'
	@echo 'make bench  measure the packet path; against Janus: make bench-janus (apt-get install janus gcc)'
	@echo '           against LiveKit as well: make bench-livekit (Go 1.26)'
	@echo 'make profile  where the node spends its time under such loads (py-spy)'
	@echo 'make load   ten participants with simulcast in one room; make soak: 20 minutes, nothing may grow'
	@echo 'make bench-record  what recording costs the node and the recorder, and how soon the files are there'
	@echo 'make bench-sync  how far sound, pictures and people in the files are from when they were captured'
	@echo 'make fuzz   100,000 examples for every parser of what strangers send (50 times as many as make test)'
	@echo 'make large  a browser seeks in a file of 2 GB (make test: 200 MB)'
	@echo 'make chaos  50 power failures and 50 kills in the middle of recordings: what each costs'
	@echo 'make watch-soak  half an hour of speech through a browser: no host may be warned'
	@echo 'make clean  remove $(VENV), caches and test output (never your data folder)'

run: $(VENV)/installed
	@exec $(BIN)/stemroom serve

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Stemroom needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo 'Could not make a virtual environment. On Debian: apt-get install python3-venv'; exit 1; }
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/python
	@echo 'Installing into $(VENV); this takes a minute.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/python
	@echo 'Installing into $(VENV) with what the tests need; this takes a minute.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

# Masked first, so that the package starts no server of its own on this machine.
.PHONY: turnserver
turnserver:
	@if command -v turnserver >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo 'No turnserver: the tests with a TURN server are left out (only root on Debian can have it installed here).'; \
	elif ! { { ! command -v systemctl || systemctl mask coturn.service; } && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		coturn </dev/null; } >build/apt-coturn.log 2>&1; then \
		echo 'No turnserver: the tests with a TURN server are left out (apt-get failed, see build/apt-coturn.log).'; fi

# Other people's readers of media files.
.PHONY: media-readers
media-readers:
	@if command -v ffprobe >/dev/null && command -v mkvinfo >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo 'No ffprobe or no mkvinfo: the tests with them are left out (only root on Debian can have them installed here).'; \
	elif ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		ffmpeg mkvtoolnix </dev/null; } >build/apt-readers.log 2>&1; then \
		echo 'No ffprobe or no mkvinfo: the tests with them are left out (apt-get failed, see build/apt-readers.log).'; fi

# What is left out, and why, is said in one line; the tests that need it skip.
browser:
	@if [ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo 'No chromium: the browser tests are left out (only root on Debian can have it installed here).'; \
	elif ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		chromium </dev/null; } >build/apt.log 2>&1; then \
		echo 'No chromium: the browser tests are left out (apt-get failed, see build/apt.log).'; fi

# Clients that others wrote, or that stand on what others wrote.
whip-clients:
	@mkdir -p build
	@if ! command -v npm >/dev/null; then \
		echo 'No npm: the tests with WHIP and WHEP clients in the browser are left out.'; \
	else $(MAKE) --no-print-directory tests/whip/node_modules/.installed; fi
	@if ! command -v go >/dev/null; then \
		echo 'No Go: the tests with WHIP and WHEP clients on pion are left out.'; \
	elif ! (cd tests/whip/pion && go build -o pion .) >build/go.log 2>&1; then \
		echo 'No pion: the tests with it are left out (go build failed, see build/go.log).'; fi

tests/whip/node_modules/.installed: tests/whip/package-lock.json
	cd tests/whip && npm ci --silent --no-audit --no-fund
	@touch $@

# A failure here fails the run, but the tests run all the same and their summary ends the output.
test: $(VENV)/installed-dev
	@mkdir -p build
	@$(MAKE) --no-print-directory turnserver
	@$(MAKE) --no-print-directory media-readers
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory whip-clients
	@lint=0; $(MAKE) --no-print-directory --keep-going lint || lint=1; \
	[ $$lint = 0 ] || echo '*** lint failed: see above. Now the tests.'; \
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS) || { \
		echo '*** What failed is run once more: browsers on a loaded machine miss times (docs/status.md).'; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(PYTEST_ARGS); } && exit $$lint

lint: lint-ruff lint-format lint-types lint-imports types-web

.PHONY: lint-ruff lint-format lint-types lint-imports
lint-ruff: $(VENV)/installed-dev
	$(BIN)/ruff check .
lint-format: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
lint-types: $(VENV)/installed-dev
	$(BIN)/mypy
lint-imports: $(VENV)/installed-dev
	$(BIN)/lint-imports

types-web:
	@if ! command -v npm >/dev/null; then \
		echo 'No npm: the types of the web client are not checked.'; \
	else $(MAKE) --no-print-directory web/node_modules/.installed && npm run --silent --prefix web check; fi

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --silent --no-audit --no-fund
	@touch $@

bench: $(VENV)/installed-dev
	$(BIN)/python -m bench.forward

bench-janus: $(VENV)/installed-dev
	$(BIN)/python -m bench.forward --janus

# The sampler has no other use: it is installed here alone.
profile: $(VENV)/installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'py-spy>=0.4,<0.5'
	$(BIN)/python -m bench.profile
	$(BIN)/python -m bench.profile --pattern --publishers 5

bench-livekit: $(VENV)/installed-dev build/livekit-server
	$(BIN)/python -m bench.forward --janus --livekit

# From the Go module proxy; ten minutes on two cores.
build/livekit-server: bench/livekit_server/go.mod
	@command -v go >/dev/null || { echo 'LiveKit is built with Go 1.26 or newer, which is not there.'; exit 1; }
	cd bench/livekit_server && go build -o ../../$@ github.com/livekit/livekit-server/cmd/server

load: $(VENV)/installed-dev
	$(BIN)/python -m bench.conference

soak: $(VENV)/installed-dev
	$(BIN)/python -m bench.soak

chaos: $(VENV)/installed-dev
	$(BIN)/python -m bench.chaos

large: $(VENV)/installed-dev
	STEMROOM_LARGE_BYTES=2147483648 $(BIN)/python -m pytest -s tests/browser/test_large_file.py $(PYTEST_ARGS)

bench-record: $(VENV)/installed-dev
	$(BIN)/python -m bench.record

bench-sync: $(VENV)/installed-dev
	$(BIN)/python -m bench.sync

watch-soak: $(VENV)/installed-dev
	$(BIN)/python -m bench.watch_soak

fuzz: $(VENV)/installed-dev
	STEMROOM_PROPERTIES=fuzz $(BIN)/python -m pytest -n 2 -m any_input tests/unit $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		web/node_modules tests/whip/node_modules tests/whip/pion/pion tests/.media test-results .coverage
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
