package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// OfArch is the image for an architecture.
func OfArch(index v1.ImageIndex, arch string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, one := range manifest.Manifests {
		if one.MediaType.IsIndex() {
			inner, err := index.ImageIndex(one.Digest)
			if err != nil {
				return nil, err
			}
			return OfArch(inner, arch)
		}
		if one.Platform != nil && one.Platform.Architecture == arch {
			return index.Image(one.Digest)
		}
	}
	return nil, fmt.Errorf("there is no image for %s", arch)
}

// Unpack writes what is in an image below an empty directory, as a container runtime would.
func Unpack(image v1.Image, root string) error {
	layers := mutate.Extract(image)
	defer layers.Close()
	reader := tar.NewReader(layers)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%s is not below the root", header.Name)
		}
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			err = write(path, reader, header.FileInfo().Mode())
		default:
			err = fmt.Errorf("%s is neither a file nor a directory", header.Name)
		}
		if err != nil {
			return err
		}
	}
}

func write(path string, content io.Reader, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
