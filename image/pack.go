package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"sort"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// Program is where the operator is in the image.
	Program = "/zitadel-secret-operator"
	// Certificates are where the operator looks for authorities: the first place of Debian's.
	Certificates = "/etc/ssl/certs/ca-certificates.crt"
	// User is who it runs as. A number: Kubernetes can only then see that it is not root.
	User = "65532:65532"
)

// Release says which version is in an image.
type Release struct {
	Version  string
	Revision string
	Source   string
	// Created is the time of everything in the image: the same input makes the same image.
	Created time.Time
}

// Index is the image for all architectures.
func Index(binaries []*Binary, release Release) (v1.ImageIndex, error) {
	sort.Slice(binaries, func(a, b int) bool { return binaries[a].Arch < binaries[b].Arch })
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	seen := map[string]bool{}
	for _, binary := range binaries {
		if seen[binary.Arch] {
			return nil, fmt.Errorf("two programs are for %s", binary.Arch)
		}
		seen[binary.Arch] = true
		image, err := Image(binary, release)
		if err != nil {
			return nil, err
		}
		platform := &v1.Platform{OS: "linux", Architecture: binary.Arch}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: platform},
		})
	}
	return mutate.Annotations(index, labels(release)).(v1.ImageIndex), nil
}

// Image is the image for one architecture: two layers, the authorities and the program.
func Image(binary *Binary, release Release) (v1.Image, error) {
	authorities, err := Authorities()
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS:           "linux",
		Architecture: binary.Arch,
		Created:      v1.Time{Time: release.Created},
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:         User,
			Entrypoint:   []string{Program},
			Cmd:          []string{"run"},
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			Labels:       labels(release),
		},
	})
	if err != nil {
		return nil, err
	}
	// The program last: it is what changes.
	for _, file := range []entry{{Certificates, authorities, 0o444}, {Program, binary.Content, 0o555}} {
		layer, err := layer(file, release.Created)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:   layer,
			History: v1.History{Created: v1.Time{Time: release.Created}, CreatedBy: "add " + file.path},
		})
		if err != nil {
			return nil, err
		}
	}
	return mutate.Annotations(image, labels(release)).(v1.Image), nil
}

func labels(release Release) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "zitadel-secret-operator",
		"org.opencontainers.image.description": "Keeps the client secrets of ZITADEL API applications in Kubernetes Secrets",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     release.Version,
		"org.opencontainers.image.revision":    release.Revision,
		"org.opencontainers.image.source":      release.Source,
		"org.opencontainers.image.created":     release.Created.UTC().Format(time.RFC3339),
	}
	for name, value := range labels {
		if value == "" {
			delete(labels, name)
		}
	}
	return labels
}

// Authorities are Mozilla's, as Go's own fallback bundle has them. Those that Mozilla trusts with conditions only are left out: a PEM
// file cannot say the conditions.
func Authorities() ([]byte, error) {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if _, err := x509.ParseCertificate(root.Certificate); err != nil {
			return nil, err
		}
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

type entry struct {
	path    string
	content []byte
	mode    int64
}

// layer holds one file and the directories above it, all of root and none writable by others.
func layer(file entry, created time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	header := func(name string, kind byte, mode, size int64) error {
		return writer.WriteHeader(&tar.Header{
			Name: name, Typeflag: kind, Mode: mode, Size: size, ModTime: created, Format: tar.FormatPAX,
		})
	}
	path := file.path[1:]
	for at, letter := range path {
		if letter == '/' {
			if err := header(path[:at+1], tar.TypeDir, 0o755, 0); err != nil {
				return nil, err
			}
		}
	}
	if err := header(path, tar.TypeReg, file.mode, int64(len(file.content))); err != nil {
		return nil, err
	}
	if _, err := writer.Write(file.content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}
