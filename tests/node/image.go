package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

type object = map[string]any

// pack writes an OCI layout, as a tar file, with an image of one program and the libraries that it is linked with. It runs as a user of
// its own, as the image of the operator does.
func pack(path, program string, arguments []string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	inside := "/" + filepath.Base(program)
	files := map[string]string{inside: program}
	for _, library := range libraries(program) {
		files[library] = library
	}
	var layer archive
	for name, source := range files {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		layer.add(name[1:], content, 0o755)
	}
	content := layer.end()
	platform := object{"os": "linux", "architecture": runtime.GOARCH}
	config := encode(object{
		"os": "linux", "architecture": runtime.GOARCH,
		"config": object{"Entrypoint": []string{inside}, "Cmd": arguments, "User": "65532:65532", "WorkingDir": "/"},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(content)}},
	})
	manifest := encode(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []object{descriptor("application/vnd.oci.image.layer.v1.tar", content)},
	})
	entry := descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
	entry["platform"] = platform
	index := encode(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []object{entry}})

	var image archive
	image.add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
	image.add("index.json", index, 0o644)
	for _, blob := range [][]byte{content, config, manifest} {
		image.add("blobs/sha256/"+strings.TrimPrefix(digest(blob), "sha256:"), blob, 0o644)
	}
	return os.WriteFile(path, image.end(), 0o600)
}

// libraries are what the dynamic loader finds for a program, and the loader; none for a static program.
func libraries(program string) []string {
	output, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil
	}
	return regexp.MustCompile(`/\S+\.so\S*`).FindAllString(string(output), -1)
}

type archive struct {
	content bytes.Buffer
	writer  *tar.Writer
}

func (a *archive) add(name string, content []byte, mode int64) {
	if a.writer == nil {
		a.writer = tar.NewWriter(&a.content)
	}
	// A buffer takes everything.
	_ = a.writer.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), Format: tar.FormatPAX})
	_, _ = a.writer.Write(content)
}

func (a *archive) end() []byte {
	_ = a.writer.Close()
	return a.content.Bytes()
}

func descriptor(mediaType string, content []byte) object {
	return object{"mediaType": mediaType, "digest": digest(content), "size": len(content)}
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func encode(value object) []byte {
	content, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return content
}
