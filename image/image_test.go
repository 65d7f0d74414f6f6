package main

import (
	"archive/tar"
	"bytes"
	"compress/zlib"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// packages is what cargo auditable would note: the program, one library, and one crate of the build.
const packages = `{"packages":[
	{"name":"build-helper","version":"3.0.0","source":"crates.io","kind":"build"},
	{"name":"library","version":"2.1.0","source":"crates.io"},
	{"name":"zitadel-secret-operator","version":"0.1.0","source":"local","dependencies":[0,1],"root":true}]}`

// program makes a program with the C compiler: `zitadel-secret-operator 7.7` for --version, and nothing else.
func program(t *testing.T, note string, flags ...string) string {
	t.Helper()
	directory := t.TempDir()
	source := "#include <stdio.h>\nint main(void) { puts(\"zitadel-secret-operator 7.7\"); return 0; }\n"
	if note != "" {
		var packed bytes.Buffer
		writer := zlib.NewWriter(&packed)
		io.WriteString(writer, note)
		writer.Close()
		os.WriteFile(filepath.Join(directory, "note"), packed.Bytes(), 0o600)
		source += `__asm__(".pushsection .dep-v0,\"a\"\n.incbin \"note\"\n.popsection");` + "\n"
	}
	os.WriteFile(filepath.Join(directory, "main.c"), []byte(source), 0o600)
	command := exec.Command("cc", append(flags, "-o", "program", "main.c")...)
	command.Dir = directory
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v: %s", err, text)
	}
	return filepath.Join(directory, "program")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// packed packs a program as `make image` does, and hands back the layout's directory.
func packed(t *testing.T) string {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	directory := filepath.Join(t.TempDir(), "layout")
	path := program(t, packages, "-static-pie", "-fPIE")
	if err := run([]string{"pack", "--output", directory, "--version", "7.7", "--revision", "abc", path}); err != nil {
		t.Fatal(err)
	}
	return directory
}

func opened(t *testing.T, directory string) (v1.ImageIndex, v1.Image) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(directory)
	if err != nil {
		t.Fatal(err)
	}
	image, err := OfArch(index, runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	return index, image
}

func TestTheImageHoldsTheProgramAndTheAuthoritiesAndNothingElse(t *testing.T) {
	index, image := opened(t, packed(t))
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	layers := mutate.Extract(image)
	defer layers.Close()
	for reader := tar.NewReader(layers); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header.Mode
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o022 != 0 {
			t.Errorf("%s can be changed by the operator: %d:%d %o", header.Name, header.Uid, header.Gid, header.Mode)
		}
		if !header.ModTime.Equal(time.Unix(1700000000, 0)) {
			t.Errorf("%s is of %s", header.Name, header.ModTime)
		}
	}
	want := map[string]int64{
		"etc": 0o755, "etc/ssl": 0o755, "etc/ssl/certs": 0o755,
		"etc/ssl/certs/ca-certificates.crt": 0o444, "zitadel-secret-operator": 0o555,
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("in the image: %v", found)
	}
}

func TestTheImageRunsTheOperatorAndNotAsRoot(t *testing.T) {
	_, image := opened(t, packed(t))
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.OS != "linux" || file.Architecture != runtime.GOARCH {
		t.Errorf("for %s/%s", file.OS, file.Architecture)
	}
	if file.Config.User != "65532:65532" {
		t.Errorf("user %q", file.Config.User)
	}
	if got := strings.Join(append(file.Config.Entrypoint, file.Config.Cmd...), " "); got != "/zitadel-secret-operator run" {
		t.Errorf("it runs %q", got)
	}
	labels := file.Config.Labels
	if labels["org.opencontainers.image.version"] != "7.7" || labels["org.opencontainers.image.revision"] != "abc" ||
		labels["org.opencontainers.image.created"] != "2023-11-14T22:13:20Z" {
		t.Errorf("labels %v", labels)
	}
	if _, there := labels["org.opencontainers.image.source"]; there {
		t.Error("a source that nobody named")
	}
}

func TestTheSameInputMakesTheSameImage(t *testing.T) {
	binary, err := ReadBinary(read(t, program(t, packages, "-static")))
	if err != nil {
		t.Fatal(err)
	}
	digest := func() v1.Hash {
		index, err := Index([]*Binary{binary}, Release{Version: "1", Created: time.Unix(5, 0)})
		if err != nil {
			t.Fatal(err)
		}
		digest, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	if first, second := digest(), digest(); first != second {
		t.Errorf("%s and %s", first, second)
	}
}

func TestWhatIsUnpackedRunsInARootThatHoldsNothingElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	_, image := opened(t, packed(t))
	// Outside of the test's own directory, which only root can enter.
	root, err := os.MkdirTemp("", "image-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	os.Chmod(root, 0o755)
	if err := Unpack(image, root); err != nil {
		t.Fatal(err)
	}
	definitions := t.TempDir()
	err = saysWhatItIs(root, "7.8", definitions)
	if err == nil || !strings.Contains(err.Error(), `"zitadel-secret-operator 7.7\n" and not`) {
		t.Errorf("another version: %v", err)
	}
	// Our program prints no definitions.
	os.WriteFile(filepath.Join(definitions, "one.yaml"), []byte("kind: CustomResourceDefinition\n"), 0o600)
	err = saysWhatItIs(root, "7.7", definitions)
	if err == nil || !strings.Contains(err.Error(), "one.yaml") {
		t.Errorf("no definitions: %v", err)
	}
	os.WriteFile(filepath.Join(definitions, "one.yaml"), []byte("zitadel-secret-operator 7.7\n"), 0o600)
	if err := saysWhatItIs(root, "7.7", definitions); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatCannotWorkInTheImageIsRefused(t *testing.T) {
	for want, content := range map[string][]byte{
		"no ELF program":           []byte("#!/bin/sh\n"),
		"linked dynamically":       read(t, program(t, packages)),
		"needs libraries":          read(t, program(t, packages, "-shared", "-fPIC")),
		"cargo auditable build":    read(t, program(t, "", "-static")),
		"list of packages":         read(t, program(t, `{"packages":[{"name":"a","dependencies":[1]}]}`, "-static")),
		"at most 16777216 are all": make([]byte, Limit+1),
	} {
		_, err := ReadBinary(content)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	binary, err := ReadBinary(read(t, program(t, packages, "-static")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Index([]*Binary{binary, binary}, Release{}); err == nil {
		t.Error("two programs for one architecture")
	}
}

func TestTheBillOfMaterialsNamesWhatIsInTheProgram(t *testing.T) {
	directory := packed(t)
	var bom bom
	if err := json.Unmarshal(read(t, directory+"-"+runtime.GOARCH+".cdx.json"), &bom); err != nil {
		t.Fatal(err)
	}
	if bom.Metadata.Component.Name != "zitadel-secret-operator" || bom.Metadata.Component.PURL != "" {
		t.Errorf("%+v", bom.Metadata.Component)
	}
	want := component{"library", "pkg:cargo/library@2.1.0", "library", "2.1.0", "pkg:cargo/library@2.1.0"}
	if !reflect.DeepEqual(bom.Components, []component{want}) {
		t.Errorf("%+v", bom.Components)
	}
	edges := bom.Dependencies[len(bom.Dependencies)-1]
	if !reflect.DeepEqual(edges.DependsOn, []string{"pkg:cargo/library@2.1.0"}) {
		t.Errorf("%+v", bom.Dependencies)
	}
}

func TestTheAuthoritiesAreThoseThatAreTrustedWithoutConditions(t *testing.T) {
	text, err := Authorities()
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !certificate.IsCA {
			t.Errorf("%s is no authority", certificate.Subject)
		}
		subjects = append(subjects, certificate.Subject.CommonName)
	}
	sort.Strings(subjects)
	if len(subjects) < 80 {
		t.Errorf("only %d", len(subjects))
	}
	if at := sort.SearchStrings(subjects, "ISRG Root X1"); at == len(subjects) || subjects[at] != "ISRG Root X1" {
		t.Error("without that of Let's Encrypt")
	}
}

func TestWhatIsPushedIsWhatWasPacked(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	directory := packed(t)
	reference := strings.TrimPrefix(server.URL, "http://") + "/operators/zso:7.7"
	digest, err := push(directory, reference)
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Index(target)
	if err != nil {
		t.Fatal(err)
	}
	index, _ := opened(t, directory)
	for what, index := range map[string]v1.ImageIndex{"registry": there, "layout": index} {
		if found, err := index.Digest(); err != nil || found != digest {
			t.Errorf("%s: %s and not %s %v", what, found, digest, err)
		}
	}
	if err := validate.Index(there); err != nil {
		t.Error(err)
	}
}
