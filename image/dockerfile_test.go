package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The last stage of the Dockerfile says the same as the packer; the versions are those of the project.
func TestTheDockerfileMakesTheSameImage(t *testing.T) {
	file := string(read(t, "../Dockerfile"))
	stages := strings.Split(file, "\nFROM ")
	last := stages[len(stages)-1]
	lines := map[string][]string{}
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[word] = append(lines[word], rest)
	}
	entrypoint, _ := json.Marshal([]string{Program})
	for word, want := range map[string]string{"scratch": "", "USER": User, "ENTRYPOINT": string(entrypoint), "CMD": `["run"]`, "EXPOSE": "8080"} {
		if got := strings.Join(lines[word], "|"); got != want || len(lines[word]) != 1 {
			t.Errorf("%s %q and not %q", word, got, want)
		}
	}
	var copied []string
	for _, line := range lines["COPY"] {
		words := strings.Fields(line)
		copied = append(copied, words[len(words)-1])
	}
	if got, want := strings.Join(copied, " "), Certificates+" "+Program; got != want {
		t.Errorf("it copies %s and not %s", got, want)
	}
	toolchain := regexp.MustCompile(`channel = "([\d.]+)"`).FindSubmatch(read(t, "../rust-toolchain.toml"))
	if toolchain == nil || !strings.Contains(file, "FROM rust:"+string(toolchain[1])+"-") {
		t.Errorf("another Rust than %s", toolchain)
	}
	auditable := regexp.MustCompile(`--version ([\d.]+) .*cargo-auditable`)
	made, docker := auditable.FindSubmatch(read(t, "../Makefile")), auditable.FindStringSubmatch(file)
	if made == nil || docker == nil || string(made[1]) != docker[1] {
		t.Errorf("cargo-auditable %s in the Makefile, %s in the Dockerfile", made, docker)
	}
	made = regexp.MustCompile(`(?m)^STATIC := (.+)$`).FindSubmatch(read(t, "../Makefile"))
	docker = regexp.MustCompile(`RUSTFLAGS='([^']+)'`).FindStringSubmatch(file)
	if made == nil || docker == nil || string(made[1]) != docker[1] {
		t.Errorf("RUSTFLAGS %s in the Makefile, %s in the Dockerfile", made, docker)
	}
}

// What .dockerignore lets through is a whole workspace.
func TestTheDockerfileIsGivenWhatCargoReads(t *testing.T) {
	context := t.TempDir()
	for line := range strings.Lines(string(read(t, "../.dockerignore"))) {
		path, kept := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !kept {
			continue
		}
		target, err := filepath.Abs("../" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(target); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(context, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
	}
	cargo := exec.Command("cargo", "metadata", "--no-deps", "--offline", "--format-version", "1")
	cargo.Dir = context
	if said, err := cargo.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}
