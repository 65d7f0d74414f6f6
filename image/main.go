// The operator's image: packed from a program that is built already, checked, and pushed. No container engine is needed.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const usage = `image pack  --output DIR --version V [--revision R] [--source URL] PROGRAM...
            writes an OCI image layout and a bill of materials for each program
image check --layout DIR --version V --controlplane PROGRAM --crds DIR
            starts what is in the layout in a root directory that holds nothing else; needs root
image digest --layout DIR [--arch ARCH]
            prints the digest of the image, or of the one for an architecture
image push  --layout DIR REFERENCE
            pushes the layout and prints the digest; credentials are those of docker login
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("what to do?\n" + usage)
	}
	flags := flag.NewFlagSet("image "+arguments[0], flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	output := flags.String("output", "", "")
	from := flags.String("layout", "", "")
	controlplane := flags.String("controlplane", "", "")
	crds := flags.String("crds", "", "")
	arch := flags.String("arch", "", "")
	var release Release
	flags.StringVar(&release.Version, "version", "", "")
	flags.StringVar(&release.Revision, "revision", "", "")
	flags.StringVar(&release.Source, "source", "", "")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	switch arguments[0] {
	case "pack":
		var err error
		if release.Created, err = created(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
			return err
		}
		return pack(*output, flags.Args(), release)
	case "check":
		return check(*from, release.Version, *controlplane, *crds)
	case "digest":
		index, err := layout.ImageIndexFromPath(*from)
		if err != nil {
			return err
		}
		var image interface{ Digest() (v1.Hash, error) } = index
		if *arch != "" {
			if image, err = OfArch(index, *arch); err != nil {
				return err
			}
		}
		digest, err := image.Digest()
		if err == nil {
			fmt.Println(digest)
		}
		return err
	case "push":
		if flags.NArg() != 1 {
			return errors.New("push needs one reference")
		}
		digest, err := push(*from, flags.Arg(0))
		if err == nil {
			fmt.Println(digest)
		}
		return err
	}
	return fmt.Errorf("%s is not known\n%s", arguments[0], usage)
}

// created is the time that SOURCE_DATE_EPOCH says, or the beginning of time: never now.
func created(seconds string) (time.Time, error) {
	if seconds == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	number, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds: %w", err)
	}
	return time.Unix(number, 0).UTC(), nil
}

func pack(output string, programs []string, release Release) error {
	if output == "" || release.Version == "" || len(programs) == 0 {
		return errors.New("pack needs --output, --version and a program")
	}
	var binaries []*Binary
	for _, path := range programs {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		binary, err := ReadBinary(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Printf("%s: %s, %.1f MiB, %d packages\n", path, binary.Arch, float64(len(content))/(1<<20), len(binary.Packages))
		binaries = append(binaries, binary)
	}
	index, err := Index(binaries, release)
	if err != nil {
		return err
	}
	// The layout of an earlier run would be added to.
	if err := os.RemoveAll(output); err != nil {
		return err
	}
	if _, err := layout.Write(output, index); err != nil {
		return err
	}
	for _, binary := range binaries {
		bom, err := SBOM(binary.Packages)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(bom, "", "  ")
		if err != nil {
			return err
		}
		path := fmt.Sprintf("%s-%s.cdx.json", filepath.Clean(output), binary.Arch)
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			return err
		}
		fmt.Println(path)
	}
	digest, err := index.Digest()
	if err == nil {
		fmt.Printf("%s: %s\n", output, digest)
	}
	return err
}

func push(from, reference string) (v1.Hash, error) {
	target, err := name.ParseReference(reference)
	if err != nil {
		return v1.Hash{}, err
	}
	index, err := layout.ImageIndexFromPath(from)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := remote.WriteIndex(target, index, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}
