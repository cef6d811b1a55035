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
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
)

// pki is the certificate authority of one control plane.
type pki struct {
	ca    *x509.Certificate
	caPEM []byte
	key   crypto.Signer
}

// loadOrMakePKI continues the authority found in the folder, so that a restarted control plane knows its
// clients and their tokens; otherwise it makes one, the server's certificate and the service-account key.
func loadOrMakePKI(dir string, ip net.IP) (*pki, error) {
	in := func(file string) string { return filepath.Join(dir, file) }
	p, err := loadPKI(in("ca.crt"), in("ca.key"))
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	p = &pki{}
	caKeyPEM, err := p.makeAuthority()
	if err != nil {
		return nil, err
	}
	serverPEM, serverKeyPEM, err := p.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{ip, net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)},
	})
	if err != nil {
		return nil, err
	}
	_, saKeyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	return p, errors.Join(
		os.WriteFile(in("server.crt"), serverPEM, 0o600), os.WriteFile(in("server.key"), serverKeyPEM, 0o600),
		os.WriteFile(in("sa.key"), saKeyPEM, 0o600),
		os.WriteFile(in("ca.key"), caKeyPEM, 0o600), os.WriteFile(in("ca.crt"), p.caPEM, 0o600),
	)
}

func loadPKI(certFile, keyFile string) (*pki, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := keyutil.PrivateKeyFromFile(keyFile)
	if err != nil {
		return nil, err
	}
	signer, isSigner := key.(crypto.Signer)
	block, _ := pem.Decode(certPEM)
	if block == nil || !isSigner {
		return nil, errors.New(certFile + " or its key is damaged: remove the folder")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	return &pki{ca: ca, caPEM: certPEM, key: signer}, err
}

func (p *pki) makeAuthority() (keyPEM []byte, err error) {
	p.key, keyPEM, err = newKey()
	if err != nil {
		return nil, err
	}
	template := validity(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "controlplane"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	})
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	p.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.ca, err = x509.ParseCertificate(der)
	return keyPEM, err
}

func (p *pki) clientCert(user string, groups ...string) (certPEM, keyPEM []byte, err error) {
	return p.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (p *pki) issue(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, validity(template), p.ca, key.Public(), p.key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM, err
}

func validity(template *x509.Certificate) *x509.Certificate {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	return template
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, keyPEM, err
}

func writeKubeconfig(path string, config *rest.Config) error {
	const name = "controlplane"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin", Namespace: "default"}
	file.CurrentContext = name
	return clientcmd.WriteToFile(*file, path)
}
