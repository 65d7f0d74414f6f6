package main

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd runs a single member. It speaks plain HTTP on loopback; its peer address is a name nobody dials.
func startEtcd(dir string, port int, fsync bool, log string) (*embed.Etcd, int, error) {
	listener, port, err := listen(port)
	if err != nil {
		return nil, 0, err
	}
	if err := listener.Close(); err != nil { // embed opens it itself
		return nil, 0, err
	}
	client := url.URL{Scheme: "http", Host: address(port)}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:1"}

	c := embed.NewConfig()
	c.Name = "controlplane"
	c.Dir = dir
	c.ListenPeerUrls = nil
	c.AdvertisePeerUrls = []url.URL{peer}
	c.InitialCluster = c.Name + "=" + peer.String()
	c.ListenClientUrls = []url.URL{client}
	c.AdvertiseClientUrls = []url.URL{client}
	c.UnsafeNoFsync = !fsync
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = 4 << 30
	// A lone member elects itself when one election timeout is over.
	c.TickMs = 20
	c.ElectionMs = 200
	c.LogLevel = "error"
	c.LogOutputs = []string{log}

	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, 0, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, port, nil
	case err := <-e.Err():
		e.Close()
		return nil, 0, err
	case <-time.After(30 * time.Second):
		e.Close()
		return nil, 0, errors.New("not ready after 30 s")
	}
}
