{{- define "pellucid.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Room is left for "-headless", the longest that is added. */}}
{{- define "pellucid.fullname" -}}
{{- $name := include "pellucid.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $full .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- end -}}

{{- define "pellucid.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: pellucid
{{ include "pellucid.releaseLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pellucid.releaseLabels" -}}
app.kubernetes.io/name: {{ include "pellucid.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the servers, and of no other pod of the release. */}}
{{- define "pellucid.selectorLabels" -}}
{{ include "pellucid.releaseLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "pellucid.testLabels" -}}
{{ include "pellucid.releaseLabels" . }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "pellucid.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{ printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end -}}
{{- end -}}

{{- define "pellucid.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "pellucid.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "pellucid.address" -}}
{{ printf "%s.%s.svc:%v" (include "pellucid.fullname" .) .Release.Namespace .Values.service.port }}
{{- end -}}

{{- define "pellucid.headlessAddress" -}}
{{ printf "dns:///%s-headless.%s.svc:%v" (include "pellucid.fullname" .) .Release.Namespace .Values.service.port }}
{{- end -}}

{{- define "pellucid.tlsSecret" -}}
{{ default (printf "%s-tls" (include "pellucid.fullname" .)) .Values.tls.existingSecret }}
{{- end -}}

{{- define "pellucid.stateClaim" -}}
{{ default (printf "%s-state" (include "pellucid.fullname" .)) .Values.state.persistence.existingClaim }}
{{- end -}}
