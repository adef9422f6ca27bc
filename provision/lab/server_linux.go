package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"orrery.dev/orrery/provision"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
)

// opens is for how long a server may take until it answers.
const opens = time.Minute

// server is "orrery provision serve" as a process, which can be killed as a user's can.
type server struct {
	site  *site.Site
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
	err   error // once ended
}

// serve begins to serve the lab's site and returns once the server answers. What it logs is appended to a file.
func (l *Lab) serve() (*server, error) {
	log, err := os.OpenFile(filepath.Join(l.Dir, "server.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	v := &server{site: l.Site, cmd: exec.Command(l.Orrery, "provision", "serve", "-c", l.file()), log: log, ended: make(chan struct{})}
	v.cmd.Stderr = log
	if l.Log != nil {
		v.cmd.Stderr = io.MultiWriter(log, l.Log)
	}
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began, err := log.Seek(0, io.SeekEnd)
	if err == nil {
		err = l.Segment.Within(v.cmd.Start)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the provisioning server: %w", err), log.Close())
	}
	go func() {
		v.err = v.cmd.Wait()
		close(v.ended)
	}()
	for deadline := time.Now().Add(opens); ; {
		_, err := v.machines()
		if err == nil {
			return v, nil
		}
		select {
		case <-v.ended:
			said, _ := io.ReadAll(io.NewSectionReader(log, began, 1<<16))
			return nil, errors.Join(fmt.Errorf("the provisioning server has ended: %w: %s", v.err, said), log.Close())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the provisioning server does not answer: %w", err), v.end(syscall.SIGKILL))
		}
	}
}

// machines that the server knows. It answers within seconds, or that is the error.
func (v *server) machines() ([]registry.Machine, error) {
	return provision.Status(context.Background(), v.site)
}

// end sends a signal and waits until the server is gone. Only a server that was not killed can have failed.
func (v *server) end(signal syscall.Signal) error {
	if err := v.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-v.ended
	err := v.log.Close()
	if v.err != nil && signal != syscall.SIGKILL {
		err = errors.Join(fmt.Errorf("the provisioning server: %w", v.err), err)
	}
	return err
}
