# Each target is the real commands, so that it can be read as documentation.
.DEFAULT_GOAL := help
CARGO ?= cargo
TOOLS := $(CURDIR)/target/tools
export PATH := $(TOOLS)/bin:$(CURDIR)/target/controlplane:$(CURDIR)/target/helm:$(PATH)

.PHONY: help demo tutorial pictures preflight test fmt lint docs crds deploy helm reference controlplane node node-test unit integration rules packaging logql oci image plugin release-dry-run reproducible book deny bench mutants model chaos fault-matrix outage upgrade fuzz live

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

# One command: with an example among the targets the dependencies have the features that tests need, and are compiled once for all.
BUILD_DEMO = $(CARGO) build --bins --examples -p zitadel-secret-operator -p zitadel-simulator

demo: ## Show the operator at work on this machine: a real API server, a ZITADEL simulator, rotations
	@tests/preflight.sh demo
	@echo 'step 1 of 3: a Kubernetes control plane (the first build takes about 5 minutes on 2 cores)'
	@tests/controlplane/build.sh
	@echo 'step 2 of 3: the operator and a ZITADEL simulator (the first build takes about 2 minutes on 2 cores)'
	$(BUILD_DEMO)
	@echo 'step 3 of 3: the demo (about half a minute)'
	$(CARGO) run --quiet --example demo

tutorial: ## Start the two servers of docs/tutorial.md, until ^C
	@tests/preflight.sh demo
	@tests/controlplane/build.sh
	$(BUILD_DEMO)
	$(CARGO) run --quiet --example demo tutorial

pictures: controlplane ## Write docs/pictures: run the demo, record what it prints, and draw it
	$(BUILD_DEMO)
	$(CARGO) run --quiet --example pictures

TEST_STEPS := controlplane helm fmt lint docs deny unit rules packaging book integration
# A user who may not change the root directory runs `make release-dry-run`, with the image, by itself, with sudo.
ifeq ($(shell chroot / true 2>/dev/null && echo may),may)
TEST_STEPS += release-dry-run
endif
# Last, because it takes the image that the step before has built. It says so where a node cannot run.
TEST_STEPS += node-test

test: ## Run every check and test, about 50 minutes on 2 cores; sets up what it needs
	@tests/preflight.sh test
	@step=0; for target in $(TEST_STEPS); do \
		step=$$((step + 1)); echo "step $$step of $(words $(TEST_STEPS)): $$target"; \
		$(MAKE) --no-print-directory $$target || exit; \
	done

preflight: ## Say what this machine lacks for make test
	tests/preflight.sh test

controlplane: ## Build the control plane for tests: etcd, kube-apiserver, kube-controller-manager, kubectl
	tests/controlplane/build.sh

node: controlplane ## Run a Kubernetes node with kubelet and containerd until ^C, and print its KUBECONFIG (needs root; the first build takes about 5 minutes)
	@tests/node/check.sh && tests/node/build.sh && target/node/node up

IMAGE ?= target/image/oci

node-test: controlplane helm ## Tests on a real node: the image IMAGE, installed by the chart (needs root, and `make image` before)
	@if why=$$(tests/node/check.sh); then \
		tests/node/build.sh && ZSO_IMAGE=$(IMAGE) $(CARGO) test -p zitadel-secret-operator --test node -- --include-ignored --nocapture --skip outage; \
	else echo "node-test: skipped: $$why"; fi

helm: ## Build Helm for tests and manifests
	tests/helm/build.sh

fmt: ## Check the formatting
	$(CARGO) fmt --all --check

lint: ## Clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs: ## Build the API documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

deny: $(TOOLS)/bin/cargo-deny ## Check licences, sources and banned crates
	$(CARGO) deny --all-features check bans licenses sources

# Without optimization it is built in half the time, and checks in five seconds.
$(TOOLS)/bin/cargo-deny:
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --debug --locked --version 0.20.2 --root $(TOOLS) cargo-deny

# For the whole workspace each: the simulator alone has fewer features, with which 40 dependencies are compiled once more.
unit: ## Tests of the pure parts and of the simulator
	$(CARGO) test --workspace --lib --bins $(patsubst simulator/tests/%.rs,--test %,$(wildcard simulator/tests/*.rs))
	$(CARGO) test --workspace --doc

integration: controlplane helm ## Tests on a real API server, and the model of the protocol
	RUST_TEST_THREADS=8 $(CARGO) test -p zitadel-secret-operator --test '*'

# The second module is compiled as the control plane is, and shares nearly all of its packages.
rules: controlplane ## Tests of alerts, dashboard and GitOps files, by the engines of Prometheus, Argo CD, kstatus and Flux
	cd tests/rules && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" go test -count=1 ./...
	cd tests/drift && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false -trimpath" go test -count=1 ./...

# Go's cache of results does not see what a test reads outside its module, so each test is run anew.
packaging: ## Tests of the image's packer, the Dockerfile read by BuildKit's parser, and the workflows checked with actionlint
	cd image && go vet ./... && go test -count=1 ./...
	cd tests/workflows && go vet ./... && go test -count=1 ./...

# Not part of `make test`: Loki takes about a minute to compile.
logql: ## Run the documentation's LogQL in Loki's own parser and pipeline, over the log of a running operator
	cd tests/logql && GOFLAGS="-mod=readonly -buildvcs=false" go test -count=1 ./...

HOST = $(shell $(CARGO) -vV | sed -n 's/^host: //p')
VERSION = $(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# Static, so that nothing else has to be in the image. The names of hosts are still looked up as /etc/resolv.conf says. Without the
# second flag the crate getrandom would not trust a static program to have the system call, and want /dev/random and /dev/urandom.
STATIC := -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"

oci: $(TOOLS)/bin/cargo-auditable ## Build the OCI image target/image/oci
	RUSTFLAGS='$(STATIC)' \
		$(CARGO) auditable build --locked --release --bin zitadel-secret-operator --target $(HOST) --target-dir target/image
	cp target/image/$(HOST)/release/zitadel-secret-operator target/image/zitadel-secret-operator
	cd image && go build -o ../target/image/imagebuilder .
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct || echo 0) target/image/imagebuilder pack --output target/image/oci \
		--version $(VERSION) --revision $$(git rev-parse HEAD || echo unknown) target/image/zitadel-secret-operator

# With a profile of its own: people download it, and it may end where the operator must not.
plugin: $(TOOLS)/bin/cargo-auditable ## Build the kubectl plugin as it is released: target/image/kubectl-zitadel_secret
	RUSTFLAGS='$(STATIC) -C force-unwind-tables=no' \
		$(CARGO) auditable build --locked --profile plugin --bin kubectl-zitadel_secret --target $(HOST) --target-dir target/image
	cp target/image/$(HOST)/plugin/kubectl-zitadel_secret target/image/kubectl-zitadel_secret

image: controlplane oci ## The same, and start it in an empty root (needs root)
	$(AS_ROOT) target/image/imagebuilder check --layout target/image/oci --version $(VERSION) \
		--controlplane target/controlplane/controlplane --crds crds

# Where a release pushes the image and where the project is, as far as nothing is published.
RELEASE_REPOSITORY ?= registry.invalid/zitadel-secret-operator
RELEASE_HOME ?= https://example.invalid/zitadel-secret-operator

release-dry-run: image plugin helm ## Do everything that a release does but publishing: target/release-dry-run, and install from it
	rm -rf target/release-dry-run && mkdir -p target/release-dry-run
	cp -R target/image/oci target/release-dry-run/image
	cp target/image/oci-*.cdx.json target/release-dry-run
	deploy/release.sh $(RELEASE_REPOSITORY) "$$(target/image/imagebuilder digest --layout target/image/oci)" $(RELEASE_HOME) target/release-dry-run
	deploy/plugin.sh $(RELEASE_HOME) target/release-dry-run $$(go env GOARCH)=target/image/kubectl-zitadel_secret
	$(CARGO) test --test chart the_files_of_a_release -- --ignored
	cd tests/krew && GOFLAGS="-mod=readonly -buildvcs=false" go test -count=1 ./...

# Two clones, in directories of different length. Twice the time of `make oci`.
reproducible: ## Build the image twice, in two directories, and compare them bit for bit
	rm -rf target/reproducible
	git clone --quiet . target/reproducible/a && git clone --quiet target/reproducible/a target/reproducible/b/longer
	$(MAKE) -C target/reproducible/a TOOLS=$(TOOLS) oci plugin
	$(MAKE) -C target/reproducible/b/longer TOOLS=$(TOOLS) oci plugin
	diff -r target/reproducible/a/target/image/oci target/reproducible/b/longer/target/image/oci
	cmp target/reproducible/a/target/image/kubectl-zitadel_secret target/reproducible/b/longer/target/image/kubectl-zitadel_secret
	@echo "figure reproducible $$(target/reproducible/a/target/image/imagebuilder digest --layout target/reproducible/a/target/image/oci)"

# A port below 1024 and chroot need root.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo)

$(TOOLS)/bin/cargo-auditable:
	$(CARGO) install --locked --version 0.7.7 --root $(TOOLS) cargo-auditable

book: $(TOOLS)/bin/mdbook target/mermaid/mermaid.min.js ## Build the documentation as a site, target/book, and check its links
	mdbook build
	$(CARGO) test --test docs of_the_site -- --ignored

# It has the scripts in itself, and names them in the book.toml beside them.
target/mermaid/mermaid.min.js: $(TOOLS)/bin/mdbook-mermaid
	mkdir -p $(@D) && : > $(@D)/book.toml
	mdbook-mermaid install $(@D)

# Without optimization it is built in half the time, and builds the site in a second.
$(TOOLS)/bin/mdbook:
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --debug --locked --version 0.5.4 --no-default-features --features search --root $(TOOLS) mdbook

$(TOOLS)/bin/mdbook-mermaid:
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --debug --locked --version 0.17.1 --root $(TOOLS) mdbook-mermaid

crds: ## Write crds/ and the chart's copy of it from src/api
	$(CARGO) run --quiet -- crd --output crds
	cp crds/*.yaml charts/zitadel-secret-operator/files/crds/

deploy: helm ## Write deploy/ from the chart
	deploy/render.sh

reference: helm ## Write docs/reference/metrics.md from src/process/metrics, the tables of docs/reference/api.md from the CRDs, the chart's README from its values
	$(CARGO) run --quiet -- metrics > docs/reference/metrics.md
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --test docs the_reference_has_every_field
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --test chart the_readme_lists_every_value

bench: controlplane ## Measure; prints one line a figure, and fails when one misses its target
	$(CARGO) bench --bench operator

model: ## Explore the protocol's large configurations
	$(CARGO) test --release --test model -- --ignored --nocapture large

# Breaks the pure core in every small way, and counts how often its unit tests notice. The core is copied into a package of its own,
# which is built in seconds where the crate takes a minute. MUTANTS_SHARD=0/8 tries every eighth.
# All of it but the calendar, whose tests take too long.
MUTANTS ?= $(filter-out schedule schedule/%,$(patsubst src/rotation/%.rs,%,$(sort \
	$(shell find src/rotation -name '*.rs' ! -name tests.rs ! -path '*/tests/*' ! -path '*properties*'))))
MUTANTS_SHARD ?= 0/1
MUTANTS_CORE := target/mutants/core

mutants: $(TOOLS)/bin/cargo-mutants ## Count how many small changes of the pure core its unit tests notice
	rm -rf $(MUTANTS_CORE)/src $(MUTANTS_CORE)/mutants.out
	mkdir -p $(MUTANTS_CORE)
	cp -RL tests/mutants/. Cargo.lock $(MUTANTS_CORE)
	sed -i '/^\[lib\]/,/^$$/d' $(MUTANTS_CORE)/Cargo.toml
	printf '\n[workspace]\n\n[profile.dev]\ndebug = false\n\n[profile.dev.package."*"]\nopt-level = 1\n' >> $(MUTANTS_CORE)/Cargo.toml
	-cd $(MUTANTS_CORE) && PROPTEST_CASES=32 $(CARGO) mutants --in-place --shard $(MUTANTS_SHARD) --sharding round-robin --timeout 60 --no-shuffle \
		$(foreach file,$(MUTANTS),--file 'src/rotation/$(file).rs') -- --lib -- --skip schedule
	cd $(MUTANTS_CORE)/mutants.out && cat missed.txt && \
		awk 'FILENAME == "caught.txt" || FILENAME == "timeout.txt" {caught++} FILENAME == "missed.txt" {missed++} \
			END {if (!(caught + missed)) exit 1; printf "figure mutation_score_percent %.1f (%d of %d)\n", 100 * caught / (caught + missed), caught, caught + missed}' \
			caught.txt timeout.txt missed.txt

$(TOOLS)/bin/cargo-mutants:
	$(CARGO) install --locked --version 27.1.0 --root $(TOOLS) cargo-mutants

chaos: controlplane ## Kill replicas at random, 200 times
	CHAOS_KILLS=200 $(CARGO) test --release --test chaos -- --nocapture

# Without a sanitizer: nothing of it is unsafe. Seconds for each target. A crash is left in fuzz/artifacts: its file belongs into fuzz/seeds, where a test of `make unit` runs it.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz: $(TOOLS)/bin/cargo-fuzz ## Feed every parser, schedules and decisions with spoilt input, FUZZ_SECONDS for each (needs a nightly compiler)
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		$(CARGO) +nightly fuzz run --dev --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -print_final_stats=1 -verbosity=0; \
	done

$(TOOLS)/bin/cargo-fuzz:
	$(CARGO) install --locked --version 0.13.2 --root $(TOOLS) cargo-fuzz

outage: controlplane helm ## Measure what a consumer sees of rotations, with and without a standby application, and on a real node where one can run
	$(CARGO) test --test zero_outage -- --nocapture
	$(CARGO) test --test it each_of_fifty_workloads -- --ignored --nocapture
	$(CARGO) test --test it a_thousand_pods -- --ignored --nocapture
	@if why=$$(tests/node/check.sh); then \
		tests/node/build.sh && $(CARGO) test -p zitadel-secret-operator --test node -- --ignored --nocapture outage; \
	else echo "outage on a node: skipped: $$why"; fi

# The version that upgrades come from. Its sources and what is built of them are in target/upgrade.
OLDER ?= 1da56b4

upgrade: controlplane ## Run an older version, this one, the older one and this one again, with an attempt open each time
	rm -rf target/upgrade/source && mkdir -p target/upgrade/source
	git archive $(OLDER) | tar -x -C target/upgrade/source
	cd target/upgrade/source && $(CARGO) build --locked --bin zitadel-secret-operator --target-dir $(CURDIR)/target/upgrade
	ZSO_OLDER_SOURCE=$(CURDIR)/target/upgrade/source \
		ZSO_OLDER_OPERATOR=$(CURDIR)/target/upgrade/debug/zitadel-secret-operator \
		$(CARGO) test --test upgrade -- --ignored --nocapture

fault-matrix: controlplane ## Inject every fault at every boundary; prints the table
	$(CARGO) test --test fault_matrix -- --nocapture --include-ignored --test-threads 1

# The suite makes an organization of its own, and removes it. The token is read from its file, and never printed.
live: ## Qualify the ZITADEL at ZITADEL_URL with the token in ZITADEL_TOKEN_FILE, in an organization of its own: rotations, lost answers, kills (API=V2 for that API alone)
	@if [ -z "$(ZITADEL_URL)" ] || ! [ -f "$(ZITADEL_TOKEN_FILE)" ] || ! [ -r "$(ZITADEL_TOKEN_FILE)" ]; then \
		echo 'make live needs ZITADEL_URL, such as https://iam.example.com, and ZITADEL_TOKEN_FILE, a file with a token of a user who may make organizations (IAM_OWNER)' >&2; \
		exit 2; \
	fi
	@tests/controlplane/build.sh
	ZITADEL_URL="$(ZITADEL_URL)" ZITADEL_TOKEN_FILE="$(ZITADEL_TOKEN_FILE)" API="$(API)" \
		$(CARGO) test --test live the_zitadel_of_the_environment_qualifies -- --ignored --exact --nocapture
