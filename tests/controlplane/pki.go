package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// pki is the certificate authority in the data directory; everything else is signed by it.
type pki struct {
	dir    string
	ca     *x509.Certificate
	caPEM  []byte
	signer crypto.Signer
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// openPKI reads the certificate authority of a data directory.
func openPKI(dataDir string) (*pki, error) {
	p := &pki{dir: filepath.Join(dataDir, "pki")}
	keyPEM, err := os.ReadFile(p.path("ca.key"))
	if err != nil {
		return nil, err
	}
	if p.caPEM, err = os.ReadFile(p.path("ca.crt")); err != nil {
		return nil, err
	}
	crt, _ := pem.Decode(p.caPEM)
	key, _ := pem.Decode(keyPEM)
	if crt == nil || key == nil {
		return nil, fmt.Errorf("%s: ca.crt or ca.key is not PEM", p.dir)
	}
	if p.ca, err = x509.ParseCertificate(crt.Bytes); err != nil {
		return nil, err
	}
	if p.signer, err = x509.ParseECPrivateKey(key.Bytes); err != nil {
		return nil, err
	}
	return p, nil
}

// openOrCreatePKI makes, on the first start in a data directory, the authority, the serving certificate and the key
// that signs service account tokens.
func openOrCreatePKI(dataDir string) (*pki, error) {
	p, err := openPKI(dataDir)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	p = &pki{dir: filepath.Join(dataDir, "pki")}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: "controlplane-ca"})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	p.signer, p.caPEM = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})

	serving := certificate(pkix.Name{CommonName: "kube-apiserver"})
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serving.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP(serviceIP)}
	serving.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	servingCrt, servingKey, err := p.sign(serving)
	if err != nil {
		return nil, err
	}
	_, saKey, err := newKey()
	if err != nil {
		return nil, err
	}
	// The authority's key comes last: it is what openPKI looks for first.
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"apiserver.crt", servingCrt}, {"apiserver.key", servingKey}, {"service-account.key", saKey},
		{"ca.crt", p.caPEM}, {"ca.key", keyPEM},
	} {
		if err := writeFile(p.path(f.name), f.content); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// kubeconfig signs a client certificate and embeds it in a kubeconfig.
func (p *pki) kubeconfig(url, user string, groups []string) ([]byte, error) {
	client := certificate(pkix.Name{CommonName: user, Organization: groups})
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	crt, key, err := p.sign(client)
	if err != nil {
		return nil, err
	}
	const name = "controlplane"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: p.caPEM}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: crt, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}

func (p *pki) sign(template *x509.Certificate) (crt, key []byte, err error) {
	k, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, k.Public(), p.signer)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

func certificate(name pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      name,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// newKey makes a P-256 key: RSA would cost most of the start time.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// writeFile replaces a file atomically, so that a reader sees all of it or none.
func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
