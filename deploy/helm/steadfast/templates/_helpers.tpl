{{- define "steadfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's behind it where it is not in it. */}}
{{- define "steadfast.fullname" -}}
{{- $name := include "steadfast.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "steadfast.selector" -}}
app.kubernetes.io/name: {{ include "steadfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "steadfast.labels" -}}
{{ include "steadfast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "steadfast.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "steadfast.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "steadfast.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* The environment of a gateway's container: the admin token, then what the values add. */}}
{{- define "steadfast.env" -}}
- name: STEADFAST_ADMIN_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.adminToken.secret }}
      key: {{ .Values.adminToken.key }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Who the process is. */}}
{{- define "steadfast.user" -}}
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.user) }}
runAsUser: {{ int64 .Values.user }}
runAsGroup: {{ int64 .Values.user }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it may do. */}}
{{- define "steadfast.closed" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The volumes of a gateway: (list scope prefix). Whole folders, never subPath: only those follow changes of the ConfigMap. */}}
{{- define "steadfast.volumes" -}}
{{- $scope := index . 0 }}{{ $prefix := index . 1 }}
{{- range list "config" "policies" "personas" }}
- name: {{ $prefix }}{{ . }}
  configMap:
    name: {{ include "steadfast.fullname" $scope }}-{{ . }}
{{- end }}
- name: {{ $prefix }}incidents
  {{- toYaml ($scope.Values.incidents.volume | default (dict "emptyDir" (dict "sizeLimit" "1Gi"))) | nindent 2 }}
{{- end }}

{{- define "steadfast.mounts" -}}
{{- $prefix := index . 1 }}
{{- range list "config" "policies" "personas" }}
- name: {{ $prefix }}{{ . }}
  mountPath: /etc/steadfast/{{ . }}
  readOnly: true
{{- end }}
- name: {{ $prefix }}incidents
  mountPath: /var/lib/steadfast
{{- end }}

{{/* The probes: (list port seconds tries), where ready is that the classifier is warm, and the start may last seconds times tries. */}}
{{- define "steadfast.probes" -}}
{{- $port := index . 0 -}}
startupProbe:
  httpGet:
    path: /readyz
    port: {{ $port }}
  periodSeconds: {{ index . 1 }}
  failureThreshold: {{ index . 2 }}
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ $port }}
  periodSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: {{ $port }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
