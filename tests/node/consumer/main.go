// consumer calls ZITADEL's introspection without a pause, as the application whose credential it has, and reports each call that was
// refused. It needs nothing but the standard library, so that its image is small and many of them can run.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// record is one line of a report: a change, or how far the consumer is.
type record struct {
	Consumer string `json:"consumer"`
	Pod      string `json:"pod"`
	// Milliseconds since 1970, by the clock of the machine, which all consumers of a node share.
	Time  int64  `json:"time"`
	State string `json:"state"`
	// Value is a checksum of the client secret of the last call.
	Value uint64 `json:"value"`
	// So far, by this process.
	Calls   int64 `json:"calls"`
	Refused int64 `json:"refused"`
	Errors  int64 `json:"errors"`
}

func main() {
	name := flag.String("name", "", "what reports call this consumer")
	issuer := flag.String("url", "", "URL of ZITADEL")
	report := flag.String("report", "", "host and port that gets a line of JSON at each change, and every 100 ms")
	directory := flag.String("directory", "", "read the credential from the files here before each call; without it, from the environment at the start")
	copyTo := flag.String("copy-to", "", "copy the files to this directory and end: what an init container does")
	pause := flag.Duration("pause", 0, "time between two calls")
	flag.Parse()
	if *copyTo != "" {
		copyFiles(*directory, *copyTo)
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("CA")))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	to, err := net.Dial("tcp", *report)
	if err != nil {
		panic(err)
	}
	encoder := json.NewEncoder(to)
	seen := record{Consumer: *name, Pod: os.Getenv("HOSTNAME"), State: "started"}
	said := time.Time{}
	for {
		state, value := call(client, *issuer, *directory)
		now := time.Now()
		seen.Calls++
		seen.Value = value
		switch state {
		case "refused":
			seen.Refused++
		case "error":
			seen.Errors++
		}
		select {
		case <-signals:
			seen.State, seen.Time = "ended", now.UnixMilli()
			_ = encoder.Encode(seen)
			return
		case <-time.After(*pause):
		}
		if state != seen.State || now.Sub(said) > 100*time.Millisecond {
			seen.State, seen.Time, said = state, now.UnixMilli(), now
			if encoder.Encode(seen) != nil {
				return
			}
		}
	}
}

// call makes one call: accepted, refused (the credential was), or error; and says with which value.
func call(client *http.Client, issuer, directory string) (state string, value uint64) {
	request, err := http.NewRequest(http.MethodPost, issuer+"/oauth/v2/introspect",
		strings.NewReader(url.Values{"token": {os.Getenv("TOKEN")}}.Encode()))
	if err != nil {
		return "error", 0
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// The kubelet swaps all files at once: both must be of one version.
	if version, err := filepath.EvalSymlinks(filepath.Join(directory, "..data")); directory != "" && err == nil {
		directory = version
	}
	secret := credential(directory, "CLIENT_SECRET")
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(secret))
	request.SetBasicAuth(credential(directory, "CLIENT_ID"), secret)
	response, err := client.Do(request)
	if err != nil {
		return "error", sum.Sum64()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	switch response.StatusCode {
	case http.StatusOK:
		return "accepted", sum.Sum64()
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		return "refused", sum.Sum64()
	}
	return "error", sum.Sum64()
}

func credential(directory, key string) string {
	if directory == "" {
		return os.Getenv(key)
	}
	content, _ := os.ReadFile(filepath.Join(directory, key))
	return string(content)
}

func copyFiles(from, to string) {
	for _, key := range []string{"CLIENT_ID", "CLIENT_SECRET"} {
		if err := os.WriteFile(filepath.Join(to, key), []byte(credential(from, key)), 0o600); err != nil {
			panic(err)
		}
	}
}
