PORT ?= 9000
NORTHSTAR_HOME ?= .northstar
STACK ?= northstar
export STACK DELETE_DATA ARCHITECTURE

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: ## Serves everything on this machine: PORT=9000, state in NORTHSTAR_HOME=.northstar
	@.ci/tools compiler && cargo build --workspace
	@exec target/debug/northstar serve --port $(PORT) --home "$(NORTHSTAR_HOME)"

invoke: ## Sends the files of events/ through `cargo lambda`; EVENT=mcp/tools_list for some of them
	@.ci/invoke

check: ## Formatting, spelling, dependencies, lints
	@.ci/check

test: ## What `make check` checks, then every test
	@.ci/test

soak: ## The tests with large counts, in full; writes bench/SOAK.md
	@.ci/soak

build: ## The functions as they ship, in target/lambda-x86_64 and target/lambda-arm64
	@.ci/build

deploy: ## Builds and deploys the stack STACK=northstar, asks the first time, makes the first keys
	@.ci/tools sam && .tools/sam/bin/python -B infra/stack.py deploy

deploy-cdk: ## The same through CDK; ARCHITECTURE=x86_64 for another processor than arm64
	@.ci/tools sam cdk && .tools/sam/bin/python -B infra/stack.py deploy-cdk

destroy: ## Deletes the stack; tables and secrets stay, unless DELETE_DATA=1
	@.ci/tools sam && .tools/sam/bin/python -B infra/stack.py destroy

logs: ## Follows the log of the deployed functions
	@.ci/tools sam && .tools/sam/bin/python -B infra/stack.py logs

smoke: ## Asks a deployed stack what every stack has to answer
	@.ci/tools sam && .tools/sam/bin/python -B infra/stack.py smoke

bench: ## Measures the functions beside a minimal one, writes bench/RESULTS.md
	@.ci/tools compiler lambda valgrind && .tools/venv/bin/python -B bench/bench.py

layout: ## Finds out which functions the linker is to place together, writes functions/bootstraps/layout/
	@.ci/tools compiler lambda valgrind && .tools/venv/bin/python -B bench/layout.py

fmt: ## Formats the code
	@cargo fmt --all

clean: ## Removes what was built and the tools; the state of the local run stays
	@cargo clean && rm -rf .tools

.PHONY: help run invoke check test soak build deploy deploy-cdk destroy logs smoke bench layout fmt clean
