// Package krew checks the plugin's part of a release with krew's own code: `make release-dry-run` writes the files first.
package krew

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	release  = "../../target/release-dry-run"
	manifest = release + "/zitadel-secret.yaml"
)

// run runs a command and returns what it prints.
func run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// install installs an archive by krew, below a directory, and returns what krew says.
func install(root, archive string) ([]byte, error) {
	command := exec.Command("go", "tool", "krew", "install", "--manifest="+manifest, "--archive="+archive)
	command.Env = append(os.Environ(), "KREW_ROOT="+root, "KREW_NO_UPGRADE_CHECK=1")
	return command.CombinedOutput()
}

// archive is the one archive of the plugin that the dry run makes.
func archive(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(release, "kubectl-zitadel_secret-*.tar.gz"))
	if err != nil || len(found) != 1 {
		t.Fatalf("archives: %v, %v", found, err)
	}
	return found[0]
}

func TestKrewAcceptsTheManifestAndInstallsTheArchive(t *testing.T) {
	run(t, "go", "tool", "validate-krew-manifest", "-skip-install", "-manifest", manifest)

	root := t.TempDir()
	if output, err := install(root, archive(t)); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	said := run(t, filepath.Join(root, "bin", "kubectl-zitadel_secret"), "--version")
	if !strings.HasPrefix(said, "kubectl zitadel-secret ") {
		t.Fatalf("--version prints %q", said)
	}
}

func TestAnArchiveOfAnotherContentIsRefused(t *testing.T) {
	content, err := os.ReadFile(archive(t))
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.tar.gz")
	content[len(content)-1]++
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := install(t.TempDir(), damaged)
	if err == nil || !strings.Contains(string(output), "checksum does not match") {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestTheChecksumsAreThoseOfTheArchives(t *testing.T) {
	command := exec.Command("sha256sum", "--check", "--strict", "kubectl-zitadel_secret-checksums.txt")
	command.Dir = release
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestTheBinaryIsSmall(t *testing.T) {
	const limit = 12 << 20
	directory := t.TempDir()
	run(t, "tar", "--extract", "--gzip", "--file", archive(t), "--directory", directory)
	binary, err := os.Stat(filepath.Join(directory, "kubectl-zitadel_secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl-zitadel_secret has %d bytes", binary.Size())
	if binary.Size() > limit {
		t.Fatalf("kubectl-zitadel_secret has %d bytes, and %d are allowed", binary.Size(), limit)
	}
}
