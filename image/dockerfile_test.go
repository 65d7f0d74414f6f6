package main

import (
	"encoding/json"
	"os"
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
	flags := regexp.MustCompile(`RUSTFLAGS=('[^']*')`)
	made, docker = flags.FindSubmatch(read(t, "../Makefile")), flags.FindStringSubmatch(file)
	if made == nil || docker == nil || string(made[1]) != docker[1] {
		t.Errorf("RUSTFLAGS %s in the Makefile, %s in the Dockerfile", made, docker)
	}
	// What the build reads must get through .dockerignore.
	ignore := string(read(t, "../.dockerignore"))
	for _, path := range []string{"Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "src", "benches", "simulator"} {
		if _, err := os.Stat("../" + path); err != nil || !strings.Contains(ignore, "\n!"+path+"\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
