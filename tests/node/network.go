package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// insideNetwork does work in the network namespace of a process: a socket belongs to the namespace of the thread that made it.
type insideNetwork chan func()

func enterNetwork(pid int) (insideNetwork, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	work := make(insideNetwork)
	entered := make(chan error)
	go func() {
		// Never unlocked: no other goroutine may get this thread.
		runtime.LockOSThread()
		err := unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd)
		entered <- err
		if err == nil {
			for f := range work {
				f()
			}
		}
	}()
	return work, <-entered
}

// do calls a function on the thread that is inside.
func do[T any](inside insideNetwork, f func() (T, error)) (value T, err error) {
	done := make(chan struct{})
	inside <- func() {
		value, err = f()
		close(done)
	}
	<-done
	return value, err
}

func (inside insideNetwork) listen(address string) (net.Listener, error) {
	return do(inside, func() (net.Listener, error) { return net.Listen("tcp4", address) })
}

func (inside insideNetwork) dial(address string) (net.Conn, error) {
	return do(inside, func() (net.Conn, error) {
		to, err := net.ResolveTCPAddr("tcp4", address)
		if err != nil {
			return nil, err
		}
		return net.DialTCP("tcp4", nil, to)
	})
}

func dialOutside(address string) (net.Conn, error) { return net.Dial("tcp4", address) }

// forward hands what connects to a listener on to an address.
func forward(listener net.Listener, dial func(string) (net.Conn, error), address string) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			to, err := dial(address)
			if err != nil {
				// As an address at which nobody listens: a reset, not an orderly end.
				_ = from.(*net.TCPConn).SetLinger(0)
				_ = from.Close()
				return
			}
			go pipe(to, from)
			pipe(from, to)
		}()
	}
}

// pipe copies one direction, and ends it as the other side did.
func pipe(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = from.Close()
		_ = to.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite()
}

// serveNames answers for Pods: names of the API server, and zitadel.test for the node itself, where --forward leads outside. Nothing else
// exists.
func serveNames(connection net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		length, from, err := connection.ReadFrom(buffer)
		if err != nil {
			return
		}
		if answer, err := answerName(buffer[:length]); err == nil {
			_, _ = connection.WriteTo(answer, from)
		}
	}
}

func answerName(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	address := net.IP(nil)
	switch name := strings.ToLower(question.Name.String()); name {
	case "kubernetes.default.svc.", "kubernetes.default.svc.cluster.local.":
		address = net.ParseIP(serviceIP)
	case "zitadel.test.":
		address = net.ParseIP(nodeIP)
	}
	header.Response, header.RecursionAvailable, header.RCode = true, true, dnsmessage.RCodeSuccess
	if address == nil {
		header.RCode = dnsmessage.RCodeNameError
	}
	builder := dnsmessage.NewBuilder(nil, header)
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if address != nil && question.Type == dnsmessage.TypeA {
		if err := builder.StartAnswers(); err != nil {
			return nil, err
		}
		resource := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 30}
		if err := builder.AResource(resource, dnsmessage.AResource{A: [4]byte(address.To4())}); err != nil {
			return nil, err
		}
	}
	return builder.Finish()
}
