{{/*
A gateway inside somebody else's pods, as a native sidecar: it is there before the app's containers start and goes after they have ended. The app talks to
http://127.0.0.1:8080. For a chart that has this one as a dependency with mode: sidecar; each is given that dependency's scope, .Subcharts.steadfast.

  steadfast.sidecar.labels     under spec.template.metadata.labels: what the PodMonitor selects by
  steadfast.sidecar.container  under spec.template.spec.initContainers
  steadfast.sidecar.volumes    under spec.template.spec.volumes
*/}}
{{- define "steadfast.sidecar.labels" -}}
steadfast: sidecar
{{- end }}

{{- define "steadfast.sidecar.container" -}}
- name: steadfast
  image: {{ include "steadfast.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  # With this an init container is a sidecar.
  restartPolicy: Always
  args: [serve, --config, /etc/steadfast/config/steadfast.toml]
  env:
    {{- include "steadfast.env" . | nindent 4 }}
  ports:
    - name: steadfast-admin
      containerPort: 9464
  {{- include "steadfast.probes" (list "steadfast-admin" 1 60) | nindent 2 }}
  resources:
    {{- toYaml .Values.sidecar.resources | nindent 4 }}
  securityContext:
    {{- include "steadfast.user" . | nindent 4 }}
    {{- include "steadfast.closed" . | nindent 4 }}
  volumeMounts:
    {{- include "steadfast.mounts" (list . "steadfast-") | trim | nindent 4 }}
{{- end }}

{{- define "steadfast.sidecar.volumes" -}}
{{- include "steadfast.volumes" (list . "steadfast-") | trim }}
{{- end }}
