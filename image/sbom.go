package main

import (
	"fmt"
	"net/url"
)

// The parts of CycloneDX 1.6 that are used here.
type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     bomMetadata  `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type bomMetadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// SBOM is the bill of materials: what the program itself says. Crates that only took part in the build are left out.
func SBOM(packages []Package) (*bom, error) {
	made := &bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1}
	ref := func(p Package) string {
		return fmt.Sprintf("pkg:cargo/%s@%s", url.PathEscape(p.Name), url.PathEscape(p.Version))
	}
	for _, one := range packages {
		if one.Kind == "build" {
			continue
		}
		part := component{Type: "library", Ref: ref(one), Name: one.Name, Version: one.Version}
		if one.Source == "crates.io" {
			part.PURL = part.Ref
		}
		if one.Root {
			part.Type = "application"
			made.Metadata.Component = part
		} else {
			made.Components = append(made.Components, part)
		}
		edges := dependency{Ref: part.Ref}
		for _, index := range one.Dependencies {
			if packages[index].Kind != "build" {
				edges.DependsOn = append(edges.DependsOn, ref(packages[index]))
			}
		}
		made.Dependencies = append(made.Dependencies, edges)
	}
	if made.Metadata.Component.Name == "" {
		return nil, fmt.Errorf("none of %d packages is the program itself", len(packages))
	}
	return made, nil
}
