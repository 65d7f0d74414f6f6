package workflows

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// read hands back the stages of a Dockerfile as BuildKit reads them, and what its linter says of them.
func read(text []byte) (stages []instructions.Stage, warned []string, err error) {
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range parsed.Warnings {
		warned = append(warned, warning.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warned = append(warned, rule+": "+message)
	}})
	stages, _, err = instructions.Parse(parsed.AST, lint)
	return stages, warned, err
}

// Nothing is built: there is no engine here.
func TestBuildKitReadsTheDockerfile(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages, warned, err := read(text)
	if err != nil || len(warned) > 0 {
		t.Fatalf("%v, %q", err, warned)
	}
	if len(stages) != 2 || stages[1].BaseName != "scratch" {
		t.Errorf("%v", stages)
	}
	// What is copied comes from the stage that makes it.
	for _, command := range stages[1].Commands {
		if from, copies := command.(*instructions.CopyCommand); copies && from.From != stages[0].Name {
			t.Errorf("%s is copied from %q", from.DestPath, from.From)
		}
	}
	for _, command := range stages[0].Commands {
		run, runs := command.(*instructions.RunCommand)
		if !runs {
			continue
		}
		script := strings.Join(run.CmdLine, " ")
		if said, err := exec.Command("sh", "-n", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", script, said)
		}
	}
	for damage, damaged := range map[string][2]string{
		"an instruction that there is not": {"USER ", "USR "},
		"a flag that there is not":         {"--chmod=", "--mode="},
		"what the linter warns of":         {" AS build", " as build"},
	} {
		_, warned, err := read(bytes.Replace(text, []byte(damaged[0]), []byte(damaged[1]), 1))
		if err == nil && len(warned) == 0 {
			t.Errorf("%s is not found", damage)
		}
	}
}
