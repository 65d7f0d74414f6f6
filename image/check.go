package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"golang.org/x/net/dns/dnsmessage"
)

// patience is how long anything may take; the machine may be busy.
const patience = 60 * time.Second

// APIServer is a name that only the name server of this check knows, and that the API server's certificate is for.
const APIServer = "kubernetes.default.svc"

// check starts the operator of a layout in a root directory with nothing else in it, as the image's user: first what needs no cluster,
// then against an API server that it finds by name.
func check(from, version, controlplane, crds string) error {
	if os.Geteuid() != 0 {
		return errors.New("check needs root, for chroot and for the port of a name server")
	}
	index, err := layout.ImageIndexFromPath(from)
	if err != nil {
		return err
	}
	image, err := OfArch(index, runtime.GOARCH)
	if err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "image-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	root := filepath.Join(directory, "root")
	// Everybody may look in, as into a container's root; the kubeconfig below has a mode of its own.
	for _, path := range []string{directory, root} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o755); err != nil {
			return err
		}
	}
	if err := Unpack(image, root); err != nil {
		return err
	}
	if err := saysWhatItIs(root, version, crds); err != nil {
		return err
	}
	// Random numbers come from the system call: a device is not there, and never was.
	if _, err := os.Lstat(filepath.Join(root, "dev")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the image has a /dev: %v", err)
	}
	return worksByName(root, directory, controlplane, crds)
}

func saysWhatItIs(root, version, crds string) error {
	text, err := inside(root, "--version").Output()
	if err != nil {
		return fmt.Errorf("--version: %w", err)
	}
	if want := "zitadel-secret-operator " + version + "\n"; string(text) != want {
		return fmt.Errorf("--version says %q and not %q", text, want)
	}
	fmt.Printf("ok: --version says %s", text)
	made, err := inside(root, "crd").Output()
	if err != nil {
		return fmt.Errorf("crd: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no definitions in %s: %v", crds, err)
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Contains(made, want) {
			return fmt.Errorf("crd prints something else than %s", file)
		}
	}
	fmt.Printf("ok: crd prints the %d files of %s\n", len(files), crds)
	return nil
}

// inside runs the operator with this root directory, as the image's user, without any variable.
func inside(root string, arguments ...string) *exec.Cmd {
	command := exec.Command(Program, arguments...)
	command.Dir, command.Env = "/", []string{}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     root,
		Credential: &syscall.Credential{Uid: 65532, Gid: 65532},
		// It must not outlive this check.
		Pdeathsig: syscall.SIGKILL,
	}
	return command
}

func worksByName(root, directory, controlplane, crds string) error {
	// Pdeathsig is about the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	port, stop, err := startControlPlane(directory, controlplane, crds)
	if err != nil {
		return err
	}
	defer stop()
	asked, end, err := nameServer()
	if err != nil {
		return err
	}
	defer end()
	// The two files that a kubelet puts into every container, and the kubeconfig in place of a service account.
	if err := os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte("nameserver "+nameServerAddress+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		return err
	}
	if err := writeKubeconfig(directory, root, port); err != nil {
		return err
	}
	command := inside(root, "run", "--admin-address", "127.0.0.1:0", "--log-format", "json", "--namespace", "default", "--leader-elect=false")
	command.Env = []string{"KUBECONFIG=/kubeconfig"}
	printed, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return err
	}
	var log lockedBuffer
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() { defer close(read); follow(printed, &log, address) }()
	stopped := func() bool {
		select {
		case <-read:
			return true
		default:
			return false
		}
	}
	failed := func(err error) error {
		command.Process.Kill()
		<-read
		return fmt.Errorf("%w; it printed\n%s", err, log.String())
	}
	select {
	case at := <-address:
		if err := untilReady("http://"+at+"/ready", stopped); err != nil {
			return failed(err)
		}
	case <-time.After(patience):
		return failed(errors.New("it does not say where its pages are"))
	}
	if !asked(APIServer + ".") {
		return failed(errors.New("it is ready without having asked the name server"))
	}
	fmt.Printf("ok: ready, with an API server that it found as %s\n", APIServer)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		return failed(err)
	}
	<-read
	if err := command.Wait(); err != nil {
		return fmt.Errorf("it did not end well: %w; it printed\n%s", err, log.String())
	}
	fmt.Println("ok: it ended with 0")
	return nil
}

// startControlPlane also installs the definitions and makes everybody who has the kubeconfig an administrator.
func startControlPlane(directory, program, crds string) (port string, stop func(), err error) {
	data := filepath.Join(directory, "cluster")
	command := exec.Command(program, "up", "--data-dir", data, "--parent-pid", fmt.Sprint(os.Getpid()))
	output, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		command.Process.Signal(syscall.SIGTERM)
		command.Wait()
	}
	var ready struct{ Kubeconfig, URL string }
	if err := json.NewDecoder(output).Decode(&ready); err != nil {
		stop()
		return "", nil, fmt.Errorf("the control plane does not start: %w", err)
	}
	apply := exec.Command(program, "kubectl", "apply", "--filename", crds)
	apply.Env = append(os.Environ(), "KUBECONFIG="+ready.Kubeconfig, "KUBECACHEDIR="+data)
	if text, err := apply.CombinedOutput(); err != nil {
		stop()
		return "", nil, fmt.Errorf("kubectl apply: %w: %s", err, text)
	}
	if err := os.Rename(ready.Kubeconfig, filepath.Join(directory, "kubeconfig")); err != nil {
		stop()
		return "", nil, err
	}
	_, port, err = net.SplitHostPort(strings.TrimPrefix(ready.URL, "https://"))
	return port, stop, err
}

func writeKubeconfig(directory, root, port string) error {
	text, err := os.ReadFile(filepath.Join(directory, "kubeconfig"))
	if err != nil {
		return err
	}
	server := regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
	if !server.Match(text) {
		return errors.New("the kubeconfig names no server on this machine")
	}
	text = server.ReplaceAll(text, []byte("https://"+APIServer+":"+port))
	path := filepath.Join(root, "kubeconfig")
	if err := os.WriteFile(path, text, 0o400); err != nil {
		return err
	}
	return os.Chown(path, 65532, 65532)
}

// Not one on which a machine may have a resolver of its own.
const nameServerAddress = "127.83.90.79"

// nameServer answers for one name, and remembers what it was asked.
func nameServer() (asked func(string) bool, end func(), err error) {
	socket, err := net.ListenPacket("udp", nameServerAddress+":53")
	if err != nil {
		return nil, nil, fmt.Errorf("the name server of this check cannot listen: %w", err)
	}
	var names lockedBuffer
	go func() {
		packet := make([]byte, 1500)
		for {
			size, from, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer, name, err := answer(packet[:size]); err == nil {
				fmt.Fprintln(&names, name)
				socket.WriteTo(answer, from)
			}
		}
	}()
	asked = func(name string) bool { return strings.Contains("\n"+names.String(), "\n"+name+"\n") }
	return asked, func() { socket.Close() }, nil
}

func answer(packet []byte) ([]byte, string, error) {
	var query dnsmessage.Message
	if err := query.Unpack(packet); err != nil || len(query.Questions) != 1 {
		return nil, "", fmt.Errorf("no question: %w", err)
	}
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	switch name := question.Name.String(); {
	case name != APIServer+".":
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 5},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	packed, err := reply.Pack()
	return packed, question.Name.String(), err
}

// follow copies the operator's log, and hands on where its pages are.
func follow(from io.Reader, log io.Writer, address chan<- string) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	found := regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`)
	for told := false; lines.Scan(); {
		fmt.Fprintln(log, lines.Text())
		if !told && strings.Contains(lines.Text(), "admin") {
			if at := found.FindString(lines.Text()); at != "" {
				address <- at
				told = true
			}
		}
	}
}

func untilReady(url string, stopped func() bool) error {
	context, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	last := errors.New("it was not asked")
	for context.Err() == nil && !stopped() {
		request, err := http.NewRequestWithContext(context, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", answer.Status, text)
		}
		last = err
		select {
		case <-context.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("it is not ready: %w", last)
}
