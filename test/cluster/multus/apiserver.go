package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// apiserver asks for pods and network attachment definitions.
type apiserver struct {
	url    string
	token  string
	client *http.Client
}

// pod has what is needed of one.
type pod struct {
	Metadata struct {
		UID         string            `json:"uid"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// connect reads a kubeconfig. Of its contexts the current one counts; a client
// is known by a certificate or a token.
func connect(file string) (*apiserver, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	a, err := parseKubeconfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

func parseKubeconfig(text []byte) (*apiserver, error) {
	var config struct {
		Current  string `yaml:"current-context"`
		Contexts []struct {
			Name    string                         `yaml:"name"`
			Context struct{ Cluster, User string } `yaml:"context"`
		} `yaml:"contexts"`
		Clusters []struct {
			Name    string `yaml:"name"`
			Cluster struct {
				Server string `yaml:"server"`
				CA     string `yaml:"certificate-authority-data"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
		Users []struct {
			Name string `yaml:"name"`
			User struct {
				Certificate string `yaml:"client-certificate-data"`
				Key         string `yaml:"client-key-data"`
				Token       string `yaml:"token"`
			} `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	var cluster, user string
	for _, c := range config.Contexts {
		if c.Name == config.Current {
			cluster, user = c.Context.Cluster, c.Context.User
		}
	}
	tlsConfig := &tls.Config{RootCAs: x509.NewCertPool()}
	a := &apiserver{}
	for _, c := range config.Clusters {
		if c.Name != cluster {
			continue
		}
		a.url = strings.TrimSuffix(c.Cluster.Server, "/")
		ca, err := base64.StdEncoding.DecodeString(c.Cluster.CA)
		if err != nil || !tlsConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("cluster %q has no certificate-authority-data that can be read", cluster)
		}
	}
	if a.url == "" {
		return nil, errors.New("the current context names no cluster")
	}
	for _, u := range config.Users {
		if u.Name != user {
			continue
		}
		a.token = u.User.Token
		if u.User.Certificate == "" {
			continue
		}
		certificate, err1 := base64.StdEncoding.DecodeString(u.User.Certificate)
		key, err2 := base64.StdEncoding.DecodeString(u.User.Key)
		pair, err3 := tls.X509KeyPair(certificate, key)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("user %q has no certificate and key that can be read: %w", user, err)
		}
		tlsConfig.Certificates = []tls.Certificate{pair}
	}
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig}, Timeout: time.Minute}
	return a, nil
}

// pod asks for a pod, which must be the one with that UID if it is not empty:
// another may have come to the same name.
func (a *apiserver) pod(ctx context.Context, namespace, name, uid string) (*pod, error) {
	p := &pod{}
	if err := a.do(ctx, http.MethodGet, "/api/v1/namespaces/"+url.PathEscape(namespace)+"/pods/"+url.PathEscape(name), nil, p); err != nil {
		return nil, err
	}
	if uid != "" && p.Metadata.UID != uid {
		return nil, fmt.Errorf("pod %s/%s is another now: its UID is %s, and was %s", namespace, name, p.Metadata.UID, uid)
	}
	return p, nil
}

// definition is the configuration of a network, "" if the definition has none.
func (a *apiserver) definition(ctx context.Context, namespace, name string) (string, error) {
	var d struct {
		Spec struct {
			Config string `json:"config"`
		} `json:"spec"`
	}
	path := "/apis/k8s.cni.cncf.io/v1/namespaces/" + url.PathEscape(namespace) + "/network-attachment-definitions/" + url.PathEscape(name)
	err := a.do(ctx, http.MethodGet, path, nil, &d)
	return d.Spec.Config, err
}

// annotate sets the network status of a pod. With the UID in it the change is
// refused if the pod is another by then.
func (a *apiserver) annotate(ctx context.Context, namespace, name, uid string, statuses []status) error {
	text, err := json.MarshalIndent(statuses, "", "    ")
	if err != nil {
		return err
	}
	change := map[string]any{"metadata": map[string]any{"uid": uid, "annotations": map[string]string{statusAnnotation: string(text)}}}
	return a.do(ctx, http.MethodPatch, "/api/v1/namespaces/"+url.PathEscape(namespace)+"/pods/"+url.PathEscape(name)+"/status", change, nil)
}

func (a *apiserver) do(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body == nil {
		request.Body, request.ContentLength = http.NoBody, 0
	} else {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	request.Header.Set("Accept", "application/json")
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(content))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
