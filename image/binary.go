package main

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limit is how large the operator may be.
const Limit = 16 << 20

// Binary is a program that needs nothing beside it.
type Binary struct {
	Arch     string
	Content  []byte
	Packages []Package
}

// Package is what `cargo auditable` notes of a crate that is in the program.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Source       string `json:"source"`
	Kind         string `json:"kind"`
	Dependencies []int  `json:"dependencies"`
	Root         bool   `json:"root"`
}

var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// ReadBinary refuses a program that cannot start in an empty image, or that does not say what it is made of.
func ReadBinary(content []byte) (*Binary, error) {
	if len(content) > Limit {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are allowed", len(content), Limit)
	}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("it is no ELF program: %w", err)
	}
	arch, known := machines[file.Machine]
	if !known {
		return nil, fmt.Errorf("it is for %s", file.Machine)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, errors.New("it is linked dynamically, and there is no loader in the image")
		}
	}
	// A static-pie has a dynamic section, too, but needs no library.
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("the libraries that it needs cannot be read: %w", err)
	}
	if len(libraries) > 0 {
		return nil, fmt.Errorf("it needs libraries: %v", libraries)
	}
	packages, err := readPackages(file)
	if err != nil {
		return nil, err
	}
	return &Binary{Arch: arch, Content: content, Packages: packages}, nil
}

func readPackages(file *elf.File) ([]Package, error) {
	section := file.Section(".dep-v0")
	if section == nil {
		return nil, errors.New("it does not say what it is made of: build it with `cargo auditable build`")
	}
	packed, err := zlib.NewReader(section.Open())
	if err != nil {
		return nil, fmt.Errorf("its list of packages cannot be read: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(packed, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("its list of packages cannot be read: %w", err)
	}
	var list struct {
		Packages []Package `json:"packages"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("its list of packages cannot be read: %w", err)
	}
	for _, one := range list.Packages {
		for _, index := range one.Dependencies {
			if index < 0 || index >= len(list.Packages) {
				return nil, fmt.Errorf("its list of packages is damaged: %s depends on number %d", one.Name, index)
			}
		}
	}
	return list.Packages, nil
}
